#!/bin/bash
# control-planes.sh HOSTLER: several control planes on the lab's real machines, as root: from one to three, each of them lost, rebuilt and
# removed, with the endpoint's address moving between them. As rows.sh says.
set -euo pipefail
hostler=$(realpath "$1")
lab=planes
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/lab/rows.sh
. "$here/rows.sh"
vip=10.77.0.200

# By the address that moves, not through a machine.
kubectl() { "$hostler" lab exec -- "$work/kubectl" "$@"; }
holder() {
    for machine in twilightsparkle rainbowdash fluttershy; do
        if [ "$(on "$machine" "ip -oneline address show | grep -c ' $vip/'" 2> /dev/null)" = 1 ]; then echo "$machine"; fi
    done
}

row "one machine, with an address that can move"
run 0 lab up --machines 3 --control-planes 3 --machines-only
cp "$inventory" "$work/all.yaml"
awk '/^  (rainbowdash|fluttershy):$/ { out = 1; next } /^  [a-z]+:$/ || /^[^ ]/ { out = 0 } !out' "$work/all.yaml" > "$inventory"
run 0 up -i "$inventory" --yes --kubeconfig "$state/kubeconfig"
on twilightsparkle cat /opt/hostler/current/bin/kubectl > "$work/kubectl"
chmod +x "$work/kubectl"
ready 1
[ "$(holder)" = twilightsparkle ]
empty

row "one becomes three, by the same certificates"
authority=$(on twilightsparkle sha256sum /etc/kubernetes/pki/ca.crt)
serving=$(on twilightsparkle sha256sum /etc/kubernetes/pki/apiserver.crt)
cp "$work/all.yaml" "$inventory"
up
ready 3
members twilightsparkle 3
[ "$(on rainbowdash sha256sum /etc/kubernetes/pki/ca.crt)" = "$authority" ]
[ "$(on twilightsparkle sha256sum /etc/kubernetes/pki/apiserver.crt)" = "$serving" ]
[ -z "$(kubectl -n kube-system get secret kubeadm-certs --ignore-not-found)" ]
[ "$(kubectl -n kube-system get pods -l k8s-app=kube-dns -o 'jsonpath={.items[*].spec.nodeName}' | tr ' ' '\n' | sort -u | wc -l)" = 2 ]
empty

row "a setting of the API server alone restarts no etcd, also where it joined; one of etcd reaches all members, one after the other"
etcds() { for machine in twilightsparkle rainbowdash fluttershy; do on "$machine" 'pgrep -x etcd'; done; }
before=$(etcds)
sed -i 's/^kubeadm:$/&\n  ClusterConfiguration:\n    apiServer: {extraArgs: [{name: event-ttl, value: 2h0m0s}]}/' "$inventory"
up
[ "$(etcds)" = "$before" ]
sed -i 's/^  ClusterConfiguration:$/&\n    etcd: {local: {extraArgs: [{name: quota-backend-bytes, value: "4294967296"}]}}/' "$inventory"
up
members twilightsparkle 3
# shellcheck disable=SC2016 # of the machine's shell
for machine in twilightsparkle rainbowdash fluttershy; do on "$machine" 'tr "\0" " " < "/proc/$(pgrep -x etcd)/cmdline" | grep -q -e --quota-backend-bytes=4294967296'; done
cp "$work/all.yaml" "$inventory"
up
members twilightsparkle 3
empty

row "the machine that holds the address is cut: the API answers again within 10 seconds"
poll "https://$vip:6443/livez"
before=$(holder)
"$hostler" lab cut "$before" > "$work/out" 2>&1
limit=$(($(date +%s) + 30))
until [ -n "$(holder)" ]; do [ "$(date +%s)" -lt "$limit" ]; done
kubectl get nodes > /dev/null
answered 10

row "a dead control plane does not block the others"
on fluttershy sysctl -qw net.ipv4.ip_forward=0
up 4
[ "$(on fluttershy sysctl -n net.ipv4.ip_forward)" = 1 ]

row "with one member dead, no other may go"
run 4 remove rainbowdash -i "$inventory" --yes
says "lose its quorum"

row "on again, it heals"
"$hostler" lab on "$before" > "$work/out" 2>&1
becomes_ready 3
up
members fluttershy 3
empty

row "each of them is rebuilt, the first and the one that holds the address too; the others are not touched"
held=
# rebuilt MACHINE OTHER OTHER
rebuilt() {
    [ "$(holder)" != "$1" ] || held=$1
    remember "$2" "$3"
    run 0 rebuild "$1" -i "$inventory" --yes
    untouched "$2" "$3"
    members "$2" 3
    ready 3
}
rebuilt twilightsparkle rainbowdash fluttershy
rebuilt rainbowdash twilightsparkle fluttershy
rebuilt fluttershy twilightsparkle rainbowdash
if [ -z "$held" ]; then
    held=$(holder)
    run 0 rebuild "$held" -i "$inventory" --yes
    ready 3
fi
printf '          %s held the address\n' "$held"
empty

row "a control plane that comes back blank is rebuilt"
"$hostler" lab blank fluttershy > "$work/out" 2>&1
run 0 rebuild fluttershy -i "$inventory" --yes --host-key "$(host_key fluttershy)"
says "the host key of"
members twilightsparkle 3
ready 3
empty

row "a dead one of three is removed, and then no other"
"$hostler" lab cut rainbowdash > "$work/out" 2>&1
becomes_not_ready rainbowdash
run 0 remove rainbowdash -i "$inventory" --yes --dead
members twilightsparkle 2
"$hostler" lab cut fluttershy > "$work/out" 2>&1
# Two that can't be reached are the higher status.
run 4 remove fluttershy -i "$inventory" --yes --dead
says "refused: cluster: no API server answers"
says "etcd needs more than half of them"

row "lab down"
run 0 lab down
printf '%d rows passed\n' "$rows"
