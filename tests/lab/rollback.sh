#!/bin/bash
# rollback.sh HOSTLER [FROM]: upgrades from FROM (by default 1.36.1) that are taken back, on the lab's real machines, as root: with one control
# plane and a worker, after the control plane and with an API server that does not come up; then with three control planes. As rows.sh says.
# Needs a bundle of FROM in the cache, which `tests/bundle HOSTLER FROM` puts there; says NOT RUN where there is none.
# shellcheck disable=SC2016 # what is in single quotes is for machines
set -euo pipefail
hostler=$(realpath "$1")
from=${2:-1.36.1}
to=1.36.3
lab=rollback
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"
needs_bundle "$from"

node_version() { kubectl get node "$1" -o "'jsonpath={.status.nodeInfo.kubeletVersion}'" 2> /dev/null; }
has_version() { [ "$(node_version "$1")" = "v$2" ]; }
# all_of VERSION: kubelets, static pods, kube-proxy and kubeadm's document.
all_of() {
    local machine
    kubelets "$1" || return
    for machine in $control_planes; do
        [ "$(on "$machine" grep -h image: /etc/kubernetes/manifests/*.yaml | grep -c "v$1")" = 3 ] || { echo "static pods of $machine differ" >&2; return 1; }
    done
    kubectl -n kube-system get daemonset kube-proxy -o yaml | grep -q "kube-proxy:v$1"
    kubectl -n kube-system get configmap kubeadm-config -o yaml | grep -q "kubernetesVersion: v$1"
}
# tidy: nothing of an upgrade or of a rollback is left.
tidy() {
    local machine
    for machine in $control_planes; do
        [ -z "$(on "$machine" find /etc/kubernetes /var/lib/etcd /var/lib/hostler -name "'kubeadm-*'" -o -name "'*hostler-*'" -o -name before-upgrade)" ]
    done
    [ -z "$(kubectl get nodes -o yaml | grep hostler/cordoned || true)" ]
    [ -z "$(kubectl get nodes -o "'jsonpath={.items[*].spec.unschedulable}'")" ]
}
note() { kubectl create configmap "$1" > /dev/null; }
has_note() { kubectl get configmap "$1" > /dev/null 2>&1; }
# upgrade_until WHAT COMMAND...: an upgrade whose hostler is killed once that is so.
upgrade_until() {
    begin upgrade -i "$inventory" --to "$to" --yes
    wait_for 900 "$@"
    kill -9 "$begun"
    wait "$begun" 2> /dev/null || true
}

control_planes=twilightsparkle
row "one control plane and a worker run $from: nothing to roll back"
run 0 lab up --machines 2 --machines-only
sed -i "s/^cluster:\$/&\n  version: $from/" "$inventory"
up
ready 2
all_of "$from"
run 3 upgrade -i "$inventory" --rollback --yes
says "there is no upgrade to roll back: the cluster runs Kubernetes $from"

row "killed after the control plane: rolled back, and what was written since is lost"
note before
upgrade_until "the kubelet of the control plane" has_version twilightsparkle "$to"
note after
grep -q "version: $to" "$inventory"
within 240 run 0 upgrade -i "$inventory" --rollback --yes
says "everything written to the cluster since"
all_of "$from"
ready 2
has_note before
[ "$(kubectl get configmaps -o name | grep -c /after)" = 0 ]
grep -q "version: $from" "$inventory"
tidy
empty

row "the static pods of the new version do not come up: rolled back without an API server"
upgrade_until "kubeadm to begin" on twilightsparkle test -e /etc/hostler/applied/upgrade-begun
wait_for 600 "its script to end" on twilightsparkle '! test -e /etc/hostler/applied/upgrade-begun'
on twilightsparkle 'sed -i "s/- kube-apiserver\$/&\n    - --no-such-flag/" /etc/kubernetes/manifests/kube-apiserver.yaml'
wait_for 120 "the API server to be away" on twilightsparkle \
    '! /opt/hostler/current/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 3s get --raw /livez > /dev/null 2>&1'
within 240 run 0 upgrade -i "$inventory" --rollback --yes
all_of "$from"
ready 2
has_note before
tidy
empty

row "rolled back in the middle of a rollback: the same command goes on"
upgrade_until "the kubelet of the control plane" has_version twilightsparkle "$to"
begin upgrade -i "$inventory" --rollback --yes
wait_for 300 "etcd's data to be put back" on twilightsparkle test -e /var/lib/etcd/hostler-old
"$hostler" lab cut twilightsparkle > /dev/null
kill -9 "$begun"
wait "$begun" 2> /dev/null || true
"$hostler" lab on twilightsparkle > /dev/null
run 0 upgrade -i "$inventory" --rollback --yes
all_of "$from"
ready 2
has_note before
tidy
empty

row "once a worker is upgraded, a rollback is refused, and the upgrade ends"
upgrade_until "the kubelet of the worker" has_version rainbowdash "$to"
run 3 upgrade -i "$inventory" --rollback --yes
says "rainbowdash: this worker has already been upgraded to $to"
run 0 upgrade -i "$inventory" --to "$to" --yes
all_of "$to"
tidy
empty
run 3 upgrade -i "$inventory" --rollback --yes
says "there is no upgrade to roll back: the cluster runs Kubernetes $to"
"$hostler" lab down > /dev/null 2>&1

control_planes="twilightsparkle rainbowdash fluttershy"
row "three control planes, after their API servers and two of their kubelets: rolled back by what was kept of them, and nothing is lost"
run 0 lab up --machines 4 --control-planes 3 --machines-only
sed -i "s/^cluster:\$/&\n  version: $from/" "$inventory"
up
ready 4
all_of "$from"
upgrade_until "the kubelet of the second control plane" has_version rainbowdash "$to"
note after
within 900 run 0 upgrade -i "$inventory" --rollback --yes
says_not "is lost"
all_of "$from"
ready 4
has_note after
members twilightsparkle 3
tidy
empty

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
