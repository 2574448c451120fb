#!/bin/bash
# control-planes.sh HOSTLER: several control planes on the lab's real machines, as root: from one to three, each of them lost, rebuilt and
# removed, with the endpoint's address moving between them. As cluster.sh; KEEP=1 leaves the lab.
# shellcheck disable=SC2016 # backquotes are hostler's own
set -euo pipefail
hostler=$(realpath "$1")
export HOSTLER_LAB=planes
state=/var/lib/hostler/lab.planes
inventory=$state/inventory.yaml
vip=10.77.0.200
work=$(mktemp -d)
rows=0

cleanup() {
    status=$?
    [ "$status" = 0 ] || { echo "FAILED at line $1: $2" >&2; tail -n 60 "$work/out" >&2 || true; }
    [ -n "${KEEP:-}" ] || "$hostler" lab down > /dev/null 2>&1 || true
    rm -rf "$work"
    exit "$status"
}
trap 'cleanup $LINENO "$BASH_COMMAND"' EXIT

row() {
    rows=$((rows + 1))
    printf '%s  row %d: %s\n' "$(date +%T)" "$rows" "$*"
}
run() {
    local expected=$1 status=0
    shift
    "$hostler" "$@" > "$work/out" 2>&1 || status=$?
    [ "$status" = "$expected" ] || { echo "hostler $* ended with $status, not $expected" >&2; return 1; }
}
says() { grep -qF -- "$1" "$work/out" || { echo "not said: $1" >&2; return 1; }; }
up() { run "${1:-0}" up -i "$inventory" --yes; }
empty() { up && says "nothing to do"; }
on() { local machine=$1; shift; "$hostler" lab ssh "$machine" "$*"; }
kubectl() { "$hostler" lab exec -- "$work/kubectl" "$@"; }
ready() { [ "$(kubectl get nodes --no-headers 2> /dev/null | awk '$2 == "Ready"' | wc -l)" = "$1" ]; }
# members VIA COUNT: that many started members, none of them a learner, and all healthy.
members() {
    local etcdctl='/opt/hostler/current/bin/etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt
        --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key --endpoints https://127.0.0.1:2379'
    etcdctl=$(printf '%s' "$etcdctl" | tr '\n' ' ')
    [ "$(on "$1" "$etcdctl member list" | grep -c ', started, .*, false$')" = "$2" ] || { echo "not $2 members" >&2; return 1; }
    on "$1" "$etcdctl endpoint health --cluster" > /dev/null 2>&1 || { echo "a member is not healthy" >&2; return 1; }
}
holder() {
    for machine in twilightsparkle rainbowdash fluttershy; do
        if [ "$(on "$machine" "ip -oneline address show | grep -c ' $vip/'" 2> /dev/null)" = 1 ]; then echo "$machine"; fi
    done
}
began() { on "$1" systemctl show -p ExecMainStartTimestampMonotonic containerd kubelet; }
remember() { for machine; do began "$machine" > "$work/began.$machine"; done; }
untouched() { for machine; do [ "$(began "$machine")" = "$(cat "$work/began.$machine")" ] || { echo "$machine was restarted" >&2; return 1; }; done; }
# Asks the API at the endpoint's address until it is told to stop, and leaves the longest time without an answer in $work/gap.
poll() {
    "$hostler" lab exec -- bash -c '
        last=$EPOCHREALTIME gap=0
        while [ ! -e "$1/stop" ]; do
            if curl --silent --insecure --max-time 1 --output /dev/null "https://$2:6443/livez"; then
                gap=$(awk -v now="$EPOCHREALTIME" -v last="$last" -v gap="$gap" "BEGIN { since = now - last; print (since > gap) ? since : gap }")
                last=$EPOCHREALTIME
            fi
        done
        echo "$gap" > "$1/gap"' bash "$work" "$vip"
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

row "the machine that holds the address is cut: the API answers again within 10 seconds"
poll &
poller=$!
before=$(holder)
"$hostler" lab cut "$before" > "$work/out" 2>&1
limit=$(($(date +%s) + 30))
until [ -n "$(holder)" ]; do [ "$(date +%s)" -lt "$limit" ]; done
kubectl get nodes > /dev/null
touch "$work/stop"
wait "$poller"
printf '          %s s without an answer\n' "$(cat "$work/gap")"
awk "BEGIN { exit !($(cat "$work/gap") < 10) }"

row "a dead control plane does not block the others"
on fluttershy sysctl -qw net.ipv4.ip_forward=0
up 4
[ "$(on fluttershy sysctl -n net.ipv4.ip_forward)" = 1 ]

row "with one member dead, no other may go"
run 4 remove rainbowdash -i "$inventory" --yes
says "stand still"

row "on again, it heals"
"$hostler" lab on "$before" > "$work/out" 2>&1
limit=$(($(date +%s) + 180))
until ready 3; do [ "$(date +%s)" -lt "$limit" ]; done
up
members fluttershy 3
empty

row "the first control plane is rebuilt, and the others are not touched"
remember rainbowdash fluttershy
run 0 rebuild twilightsparkle -i "$inventory" --yes
untouched rainbowdash fluttershy
members rainbowdash 3
ready 3
empty

row "the machine that holds the address is rebuilt"
before=$(holder)
run 0 rebuild "$before" -i "$inventory" --yes
members rainbowdash 3
ready 3
empty

row "a control plane that comes back blank is rebuilt"
"$hostler" lab blank fluttershy > "$work/out" 2>&1
run 0 rebuild fluttershy -i "$inventory" --yes
says "has another host key"
members twilightsparkle 3
ready 3
empty

row "a dead one of three is removed, and then no other"
"$hostler" lab cut rainbowdash > "$work/out" 2>&1
run 0 remove rainbowdash -i "$inventory" --yes --dead
members twilightsparkle 2
"$hostler" lab cut fluttershy > "$work/out" 2>&1
run 3 remove fluttershy -i "$inventory" --yes --dead

row "lab down"
run 0 lab down
printf '%d rows passed\n' "$rows"
