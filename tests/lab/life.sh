#!/bin/bash
# life.sh HOSTLER: what happens to the machines of a cluster, on the lab's real machines, as root, while a client asks a Service of two
# replicas. As rows.sh says. What cluster.sh, control-planes.sh and restore.sh show is not shown again.
set -euo pipefail
hostler=$(realpath "$1")
lab=life
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/lab/rows.sh
. "$here/rows.sh"

# logins MACHINE: how often somebody has logged in there, this time included.
logins() { on "$1" journalctl --quiet --no-pager --identifier sshd --identifier sshd-session | grep -c Accepted; }
# The machines on which the Service's pods run.
replicas() { kubectl get pods -l app=web "--field-selector=status.phase=Running" -o "'jsonpath={range .items[*]}{.spec.nodeName}{\"\\n\"}{end}'" | sort; }
two_answer() {
    local limit=$(($(date +%s) + 60))
    until [ "$(kubectl get deployment web -o 'jsonpath={.status.readyReplicas}')" = 2 ]; do
        [ "$(date +%s)" -lt "$limit" ] || { echo "not two replicas are ready within a minute" >&2; return 1; }
    done
}
budget() {
    kubectl apply -f - > /dev/null << 'END'
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
END
}

row "two machines become a cluster, and a third one another"
run 0 lab up --machines 3 --machines-only
cp "$inventory" "$work/all.yaml"
# without MACHINE...: the inventory without them.
without() { awk -v names="$*" 'BEGIN { split(names, list, " "); for (i in list) gone["  " list[i] ":"] }
    $0 in gone { out = 1; next } /^  [a-z]+:$/ || /^[^ ]/ { out = 0 } !out' "$work/all.yaml"; }
without fluttershy > "$inventory"
without twilightsparkle rainbowdash | sed 's/^  name: lab$/  name: other/; s/^  fluttershy:$/&\n    role: control-plane/' > "$work/other.yaml"
"$hostler" up -i "$work/other.yaml" --yes > "$work/other" 2>&1 < /dev/null &
other=$!
up
wait "$other" || { cat "$work/other" >&2; false; }
ready 2
empty

row "a Service of two replicas, which a client asks from now on"
# Nothing keeps a replica from being evicted, and the control plane is no machine of its own here.
web rainbowdash 2 0 3 "{operator: Exists, effect: NoSchedule}"
two_answer
poll http://10.77.0.11:30080/who

row "a machine of another cluster is refused, and left as it is"
remember fluttershy
cp "$work/all.yaml" "$inventory"
up 3
says "fluttershy: the machine belongs to another cluster (https://10.77.0.13:6443)"
says "--take-over fluttershy"
run 3 add fluttershy -i "$inventory" --yes
run 3 rebuild fluttershy -i "$inventory" --yes
run 3 remove fluttershy -i "$inventory" --yes
untouched fluttershy
[ "$(on fluttershy kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --no-headers | awk '{ print $1, $2 }')" = "fluttershy Ready" ]

row "told to, it is taken over; who is in the cluster is not even asked"
remember twilightsparkle rainbowdash
before=$(logins rainbowdash)
run 0 add fluttershy -i "$inventory" --yes --take-over fluttershy
says "names this machine"
says "taking over this machine removes a control plane from the other cluster"
[ "$(logins rainbowdash)" = $((before + 1)) ] || { echo "hostler logged in to rainbowdash" >&2; exit 1; }
untouched twilightsparkle rainbowdash
becomes_ready 3
members twilightsparkle 1
on fluttershy '[ ! -e /etc/kubernetes/manifests/etcd.yaml ] && [ ! -e /var/lib/etcd ]'
empty

row "what keeps a drain from its end is named at once; when it may, it goes on"
two_answer
replicas | grep -qx rainbowdash
budget
remember twilightsparkle fluttershy
begin rebuild rainbowdash -i "$inventory" --yes
comes_to_say "waiting for a PodDisruptionBudget to allow the eviction of default/web-"
replicas | grep -qx rainbowdash
kubectl delete poddisruptionbudget web > /dev/null
ends 0
untouched twilightsparkle fluttershy
ready 3
empty

row "with --force-after it ends all the same"
two_answer
victim=$(replicas | grep -vx twilightsparkle | head -n 1)
budget
run 0 rebuild "$victim" -i "$inventory" --yes --force-after 10s
says "waiting for a PodDisruptionBudget to allow the eviction of default/web-"
says "to be deleted regardless of PodDisruptionBudgets"
kubectl delete poddisruptionbudget web > /dev/null
ready 3
members twilightsparkle 1
empty

row "status tells of a machine that is off within 3 seconds, and what to do"
"$hostler" lab cut rainbowdash > "$work/out" 2>&1
within_once 3 run 4 status -i "$inventory"
says "rainbowdash can't be reached"
# Its node is Ready for a while.
says "turn rainbowdash on; if it is on"
becomes_not_ready rainbowdash
within_once 3 run 4 status -i "$inventory"
says "hostler rebuild rainbowdash"

row "a dead worker: what must be done in the cluster is done, and how to go on is said"
remember twilightsparkle fluttershy
run 4 rebuild rainbowdash -i "$inventory" --yes
says "once the machine is back, run"
[ -z "$(kubectl get node rainbowdash --ignore-not-found)" ]

row "a cut worker is waited for, and goes on when it comes back blank"
begin rebuild rainbowdash -i "$inventory" --yes --wait 5m
comes_to_say "waiting for rainbowdash, at most"
"$hostler" lab blank rainbowdash > "$work/blank" 2>&1
ends 3
says "the host key of rainbowdash has changed"
run 0 rebuild rainbowdash -i "$inventory" --yes --host-key "$(host_key rainbowdash)"
untouched twilightsparkle fluttershy
ready 3
empty

row "status without an API server tells what the machines still know, within 3 seconds"
run 0 status -i "$inventory"
on twilightsparkle 'mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/
    while /opt/hostler/current/bin/crictl ps --name "^kube-apiserver$" -q | grep -q .; do sleep 0.2; done'
within_once 3 run 1 status -i "$inventory"
says "no API server answers"
says "rainbowdash"
on twilightsparkle mv /root/kube-apiserver.yaml /etc/kubernetes/manifests/
becomes_ready 3
# The scheduler and the controller manager ended with the API server. kubelet restarts them after a pause, and until then status names them.
healthy() { run 0 status -i "$inventory" 2> /dev/null; }
wait_for 180 "the cluster to be healthy" healthy

row "status --watch looks again, and its JSON says the same"
begin status -i "$inventory" --watch
limit=$(($(date +%s) + 30))
until [ "$(grep -c '^MACHINE' "$work/out")" -ge 2 ]; do [ "$(date +%s)" -lt "$limit" ]; done
kill "$begun"
ends 143
"$hostler" status -i "$inventory" --output json > "$work/status.json"
python3 -c 'import json, sys; status = json.load(open(sys.argv[1])); assert status["healthy"] and len(status["nodes"]) == 3 and status["next"] is None, status' "$work/status.json"

row "the client was never long without an answer"
two_answer
answered 30
empty

printf '%d rows passed\n' "$rows"
