#!/bin/bash
# cluster.sh HOSTLER: from nothing to a cluster, and what is changed on it, on the lab's real machines, as root. As rows.sh says.
# shellcheck disable=SC2016 # backquotes are hostler's own
set -euo pipefail
hostler=$(realpath "$1")
lab=cluster
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

# mends LINE...: `plan` names just these rows besides the verification, `up` does them, and the next `up` is empty.
mends() {
    local line
    run 0 plan -i "$inventory"
    for line; do says "$line"; done
    [ "$(grep -cE "^  [a-z]" "$work/out")" = $((3 + $#)) ] || { echo "more than that was planned" >&2; return 1; }
    up
    empty
}

row "from nothing to three Ready nodes, verified, and never silent for longer than 5 seconds"
"$hostler" lab up 2>&1 | while IFS= read -r line; do printf '%s %s\n' "$EPOCHREALTIME" "$line"; done > "$work/out"
says "Ready"
ready 3
# A second for a computer that is busy.
silence=$(awk 'NR > 1 && $1 - last > most { most = $1 - last } { last = $1 } END { printf "%.1f", most }' "$work/out")
awk "BEGIN { exit !($silence <= 6) }" || { echo "silent for $silence s" >&2; false; }

row "up again does nothing, in seconds"
started=$(date +%s)
empty
[ $(($(date +%s) - started)) -le 10 ]

row "a sysctl undone is mended, and a probe that a power cut left is no hindrance, and goes"
probes() { kubectl get namespaces --no-headers -o custom-columns=:metadata.name | grep '^hostler-probe'; }
on rainbowdash sysctl -qw net.ipv4.ip_forward=0
"$hostler" up -i "$inventory" --yes > "$work/out" 2>&1 < /dev/null &
wait_for 60 "a verification to begin" probes > /dev/null
"$hostler" lab cut twilightsparkle > /dev/null 2>&1
"$hostler" lab on twilightsparkle > /dev/null 2>&1
wait || :
becomes_ready 3
on rainbowdash sysctl -qw net.ipv4.ip_forward=0
up
says "rainbowdash: net.ipv4.ip_forward is 0"
wait_for 60 "all of their namespaces to go" eval '! probes > /dev/null'
empty

row "what the cluster runs of its own is compared as it is: gone, changed or scaled to nothing it comes back; a Corefile stays"
corefile() { kubectl --namespace kube-system get configmap coredns -o "jsonpath={.data.Corefile}"; }
kubectl --namespace kube-system get configmap coredns -o yaml | sed '/resourceVersion:/d; /uid:/d; s/cache 30/cache 29/' > "$work/corefile.yaml"
kubectl replace --filename - < "$work/corefile.yaml" > /dev/null
kubectl --namespace kube-system scale deployment coredns --replicas 0 > /dev/null
run 1 status -i "$inventory"
says "CoreDNS is scaled to 0"
kubectl --namespace kube-system delete daemonset kube-proxy > /dev/null
kubectl --namespace kube-flannel delete daemonset --all > /dev/null
mends "CoreDNS is scaled to 0" "some of kube-proxy's objects are missing" "some of flannel's objects are missing"
corefile | grep -q 'cache 29'
nowhere() {
    kubectl --namespace "$1" patch daemonset "$2" --patch "'{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"no\":\"machine\"}}}}}'" > /dev/null
    wait_for 60 "the pods of $2 to go" eval "[ \"\$(kubectl --namespace $1 get daemonset $2 -o 'jsonpath={.status.desiredNumberScheduled}')\" = 0 ]"
}
nowhere kube-flannel kube-flannel-ds
nowhere kube-system kube-proxy
kubectl --namespace kube-system patch service kube-dns --patch "'{\"spec\":{\"selector\":{\"k8s-app\":\"nothing\"}}}'" > /dev/null
mends "flannel's DaemonSet matches no node" "kube-proxy's DaemonSet matches no node" "the Service of CoreDNS does not route to CoreDNS"
kubectl --namespace kube-flannel patch configmap kube-flannel-cfg --patch "'{\"data\":{\"net-conf.json\":\"{}\"}}'" > /dev/null
kubectl --namespace kube-system delete deployment coredns > /dev/null
mends "flannel in the cluster differs" "CoreDNS's objects are missing"
corefile | grep -q 'cache 29'

row "roles, service accounts and kubeadm's documents are compared as they are: gone or changed they come back, no wider than before"
kubectl delete clusterrolebinding flannel kubeadm:node-autoapprove-certificate-rotation kubeadm:node-proxier > /dev/null
kubectl --namespace kube-system delete configmap kubeadm-config > /dev/null
mends "some of flannel's objects are missing" "some RBAC roles of nodes and add-ons are missing" "ClusterConfiguration is missing from the cluster"
kubectl patch clusterrole kubeadm:get-nodes --type json --patch "'[{\"op\":\"replace\",\"path\":\"/rules/0/verbs\",\"value\":[\"*\"]}]'" > /dev/null
kubectl --namespace kube-system delete serviceaccount coredns > /dev/null
kubectl --namespace kube-system delete configmap kubelet-config > /dev/null
mends "the RBAC roles of nodes and add-ons were changed" "CoreDNS's objects are missing" "KubeletConfiguration is missing from the cluster"
[ "$(kubectl get clusterrole kubeadm:get-nodes -o "jsonpath={.rules[*].verbs[*]}")" = get ]

row "a CoreDNS that crashes is in status, with the command that shows why"
kubectl --namespace kube-system patch configmap coredns --patch "'{\"data\":{\"Corefile\":\"nonsense {\"}}'" > /dev/null
kubectl --namespace kube-system delete pod --selector k8s-app=kube-dns > /dev/null
crashes() { "$hostler" status -i "$inventory" > "$work/out" 2>&1 || grep -q CrashLoopBackOff "$work/out"; }
wait_for 120 "CoreDNS to crash" crashes
run 1 status -i "$inventory"
says "! CoreDNS: 0 of 2 pods are ready"
says "describe pod coredns-"
kubectl replace --filename - < "$work/corefile.yaml" > /dev/null
kubectl --namespace kube-system delete pod --selector k8s-app=kube-dns > /dev/null
wait_for 120 "CoreDNS to be well" run 0 status -i "$inventory"

row "an APIService that is away, and what it keeps, keep no verification"
kubectl apply --filename - <<'END' > /dev/null
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  service: {name: away, namespace: kube-system}
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
END
for _ in 1 2; do
    on fluttershy sysctl -qw net.ipv4.ip_forward=0
    mends "fluttershy: net.ipv4.ip_forward is 0"
done
kubectl delete apiservice v1beta1.metrics.k8s.io > /dev/null

row "a closed port is named in seconds, with the machine; and the verification is open until it passed"
on fluttershy 'nft add table inet shut && nft add chain inet shut input "{ type filter hook input priority 0; policy drop; }" &&
    nft add rule inet shut input "ct state established,related accept" && nft add rule inet shut input "iif lo accept" && nft add rule inet shut input "tcp dport 22 accept"'
on fluttershy sysctl -qw net.ipv4.ip_forward=0
started=$(date +%s)
run 1 up -i "$inventory" --yes
says "twilightsparkle can't reach kubelet at TCP port 10250 of fluttershy"
[ $(($(date +%s) - started)) -le 60 ]
run 1 status -i "$inventory"
says "the cluster has not been verified since its last change"
on fluttershy 'nft add rule inet shut input tcp dport 10250 accept'
started=$(date +%s)
run 1 up -i "$inventory" --yes
says "gets no answer from fluttershy through flannel.1: twilightsparkle has sent"
says "open UDP port 8472"
[ $(($(date +%s) - started)) -le 60 ]
on fluttershy nft delete table inet shut
up
run 0 status -i "$inventory"
empty

row "a program replaced is mended, a kubelet stopped is started, an image deleted is imported and pinned again"
on rainbowdash 'echo more >> /opt/hostler/current/bin/crictl'
on fluttershy systemctl stop kubelet
on twilightsparkle ctr -n k8s.io images rm registry.k8s.io/coredns/coredns:v1.14.2
mends "rainbowdash: bin/crictl differs from the bundle" "fluttershy: kubelet is not running" \
    "twilightsparkle: the image registry.k8s.io/coredns/coredns:v1.14.2 is missing"

row "a kubelet that is restarted while flannel begins is no hindrance for pods to begin"
on fluttershy 'rm /etc/cni/net.d/10-flannel.conflist /run/flannel/subnet.env && crictl stop "$(crictl ps -q --name flannel)" > /dev/null
    timeout 60 sh -c "until crictl ps -q --name flannel | grep -q .; do sleep 0.1; done" && systemctl restart kubelet'
wait_for 60 "flannel to let pods begin" on fluttershy '[ -s /etc/cni/net.d/10-flannel.conflist ]'
becomes_ready 3

row "a label in the inventory is applied, and mended when it is gone"
sed -i 's/^  rainbowdash:$/&\n    labels: {shelf: top}/' "$inventory"
mends "shelf=top"
[ "$(kubectl get node rainbowdash -o "jsonpath={.metadata.labels.shelf}")" = top ]
kubectl label node rainbowdash shelf-
mends "labels and taints of node rainbowdash differ from the inventory"

row "a label gone from the inventory is taken off"
sed -i '/labels: {shelf: top}/d' "$inventory"
mends "remove label shelf"
[ -z "$(kubectl get node rainbowdash -o "jsonpath={.metadata.labels.shelf}")" ]

row "a kubelet fragment restarts kubelet, one machine at a time, and nothing else"
containerd_began() { for machine in twilightsparkle rainbowdash fluttershy; do on $machine systemctl show -p ExecMainStartTimestampMonotonic containerd; done; }
containerd_began > "$work/containerd"
sed -i 's/^  KubeletConfiguration:$/&\n    maxPods: 99/' "$inventory"
up
empty
[ "$(kubectl get nodes -o "jsonpath={.items[*].status.capacity.pods}")" = "99 99 99" ]
[ "$(containerd_began)" = "$(cat "$work/containerd")" ]

row "a containerd fragment is written, containerd restarted, and pods stay"
sed -i 's/^containerd:$/&\n  level: |\n    version = 3\n    [debug]\n      level = "warn"/' "$inventory"
up
says "/etc/containerd/config.toml is missing or differs"
empty
on rainbowdash grep -q warn /etc/containerd/conf.d/level.toml
ready 3

row "a key that kubeadm does not know is told with its place, before anything is touched"
cp "$inventory" "$work/inventory.yaml"
sed -i 's/^kubeadm:$/&\n  ClusterConfiguration:\n    apiServer:\n      extraArgz: []/' "$inventory"
up 2
says "$inventory:$(grep -n extraArgz "$inventory" | cut -d : -f 1):7: kubeadm 1.36.3 rejects this: ClusterConfiguration: unknown field \"apiServer.extraArgz\""
cp "$work/inventory.yaml" "$inventory"
empty

row "a ClusterConfiguration fragment reaches the ConfigMap and the static pods"
sed -i 's/^kubeadm:$/&\n  ClusterConfiguration:\n    apiServer:\n      certSANs: [api.example.org]\n      extraArgs: [{name: profiling, value: "false"}]/' "$inventory"
up
empty
on twilightsparkle grep -q -- --profiling=false /etc/kubernetes/manifests/kube-apiserver.yaml
kubectl -n kube-system get configmap kubeadm-config -o yaml | grep -q profiling
for name in api.example.org api.lab.internal; do kubectl --tls-server-name "$name" get --raw /readyz > /dev/null; done

row "a second hostler is refused while the first is at work; killed, its script is waited for, and not begun anew"
sed -i '/^  ClusterConfiguration:$/,/profiling/d' "$inventory"
"$hostler" up -i "$inventory" --yes > "$work/first" 2>&1 &
first=$!
until grep -q "^twilightsparkle .*the static pods do not match the cluster's ClusterConfiguration" "$work/first"; do kill -0 "$first"; sleep 0.1; done
up 3
says "twilightsparkle/control-plane of run"
kill -9 "$first"
wait "$first" 2> /dev/null || true
up
says "waiting for twilightsparkle/control-plane of an interrupted run"
says_not "the static pods do not match"
empty
[ -z "$(on twilightsparkle grep -- --profiling /etc/kubernetes/manifests/kube-apiserver.yaml)" ]

row "another version, subnet or endpoint is refused, with the way out"
cp "$inventory" "$work/inventory.yaml"
sed -i 's/^cluster:$/&\n  version: 1.35.4/' "$inventory"
up 3
says "can't change the version to 1.35.4"
cp "$work/inventory.yaml" "$inventory"
sed -i 's/^cluster:$/&\n  podSubnet: 10.245.0.0\/16/' "$inventory"
up 3
says 'podSubnet` of the running cluster is 10.244.0.0/16'
cp "$work/inventory.yaml" "$inventory"
empty

row "a person gets a certificate of their own, keeps it, and loses access"
ada() { "$hostler" lab exec -- kubectl --kubeconfig "$work/ada.kubeconfig" --request-timeout 20s "$@" > "$work/out" 2>&1; }
run 0 kubeconfig -i "$inventory" --user ada --out "$work/ada.kubeconfig"
ada auth whoami
says "hostler:ada"
ada get nodes
cp "$work/ada.kubeconfig" "$work/first.kubeconfig"
run 0 kubeconfig -i "$inventory" --user ada --out "$work/ada.kubeconfig"
cmp "$work/ada.kubeconfig" "$work/first.kubeconfig"
run 2 kubeconfig -i "$inventory" --revoke adda
says 'did you mean `ada`?'
run 0 kubeconfig -i "$inventory" --revoke ada
if ada get nodes; then false; fi
says "(Forbidden)"
on twilightsparkle '[ ! -e /etc/kubernetes/super-admin.conf ]'

row "a live worker is rebuilt; nobody else is restarted"
remember twilightsparkle fluttershy
run 0 rebuild rainbowdash -i "$inventory" --yes
untouched twilightsparkle
untouched fluttershy
ready 3
empty

row "a worker that comes back blank, with another host key, is rebuilt"
"$hostler" lab blank fluttershy > "$work/out" 2>&1
up 4
says "host key"
run 3 rebuild fluttershy -i "$inventory" --yes
says "does not accept a changed host key"
run 0 rebuild fluttershy -i "$inventory" --yes --host-key "$(host_key fluttershy)"
says "the host key of"
untouched twilightsparkle
ready 3
empty

row "a worker is removed, and added again"
remember twilightsparkle rainbowdash
run 0 remove fluttershy -i "$inventory" --yes
[ -z "$(kubectl get node fluttershy --ignore-not-found)" ]
on fluttershy '[ ! -e /etc/kubernetes ] && [ ! -e /var/lib/kubelet ]'
run 0 add fluttershy -i "$inventory" --yes
untouched twilightsparkle
untouched rainbowdash
ready 3
empty

row "a dead worker does not block the others, and is removed; one that lives is not, as if it were dead"
run 3 remove fluttershy -i "$inventory" --yes --dead
says "the node is Ready"
"$hostler" lab cut fluttershy > "$work/out" 2>&1
on rainbowdash sysctl -qw net.ipv4.ip_forward=0
up 4
[ "$(on rainbowdash sysctl -n net.ipv4.ip_forward)" = 1 ]
run 4 remove fluttershy -i "$inventory" --yes
becomes_not_ready fluttershy
run 0 remove fluttershy -i "$inventory" --yes --dead
[ -z "$(kubectl get node fluttershy --ignore-not-found)" ]

row "the only control plane is not removed"
run 3 remove twilightsparkle -i "$inventory" --yes
says "hostler reset"

row "the whole cluster's power is cut, and comes back by itself"
"$hostler" lab cut twilightsparkle > "$work/out" 2>&1
"$hostler" lab cut rainbowdash >> "$work/out" 2>&1
"$hostler" lab on twilightsparkle rainbowdash >> "$work/out" 2>&1
becomes_ready 2
# Its node was deleted, but it still has its certificate, and may register again before it is rebuilt.
"$hostler" lab on fluttershy >> "$work/out" 2>&1
run 0 rebuild fluttershy -i "$inventory" --yes
ready 3
empty

row "reset asks for the cluster's name, and leaves bare machines"
run 2 reset -i "$inventory" --yes-take-down other
run 0 reset -i "$inventory" --yes-take-down lab
on twilightsparkle '[ ! -e /etc/kubernetes ] && [ ! -e /var/lib/etcd ]'
up
ready 3

row "lab down leaves nothing"
run 0 lab down
left=$(
    ip netns list | grep cluster || true
    losetup -a | grep "$state" || true
    grep "$state" /proc/mounts || true
    pgrep -fa "systemd-nspawn.*$state" || true
)
[ -z "$left" ] || { echo "left behind: $left" >&2; exit 1; }
printf '%d rows passed\n' "$rows"
