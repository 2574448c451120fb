#!/bin/bash
# upgrade.sh HOSTLER [FROM]: a cluster of FROM (by default 1.35.4) becomes one of the newest version, on the lab's real machines, as root. As
# rows.sh says. Needs a bundle of FROM in the cache, which `tests/bundle HOSTLER FROM` puts there; says NOT RUN where there is none.
# shellcheck disable=SC2016 # what is in single quotes is for machines
set -euo pipefail
hostler=$(realpath "$1")
from=${2:-1.35.4}
to=1.36.3
lab=upgrade
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"
needs_bundle "$from"

# uid: changes when a pod is made anew.
uid() { kubectl get pod "$1" -o "'jsonpath={.metadata.uid} {.status.containerStatuses[0].restartCount}'"; }

row "one control plane and two workers run $from"
run 0 lab up --machines 3 --machines-only
sed -i "s/^cluster:\$/&\n  version: $from/" "$inventory"
up
ready 3
kubelets "$from"
empty

row "a newer version in the inventory is the upgrade's: up refuses it and names the verb"
sed "s/version: $from/version: $to/" "$inventory" > "$work/newer.yaml"
run 3 up -i "$work/newer.yaml" --yes
says "hostler upgrade --to $to"
run 2 upgrade -i "$inventory" --to 1.2.3 --yes
says "hostler does not know Kubernetes"

row "a feature gate that the new version no longer knows is refused before anything changes"
sed "s/^  KubeletConfiguration:\$/&\n    featureGates: {InTreePluginPortworxUnregister: true}/" "$inventory" > "$work/gate.yaml"
grep -q InTreePluginPortworxUnregister "$work/gate.yaml"
run 2 upgrade -i "$work/gate.yaml" --to "$to" --yes
says "kubelet $to rejects this"
# The rest is in its own words.
grep -q "gate.*InTreePluginPortworxUnregister" "$work/out"
kubelets "$from"

row "a Service of two replicas, which a client asks from now on; a node that its owner cordoned"
web rainbowdash 2 1 10
kubectl cordon fluttershy > /dev/null

row "killed while the control plane is upgraded: up leaves it alone and names the verb, and its script ends by itself"
poll https://10.77.0.11:6443/livez
begin upgrade -i "$inventory" --to "$to" --yes
comes_to_say "kubeadm upgrade"
wait_for 120 "kubeadm to begin" on twilightsparkle test -e /etc/hostler/applied/upgrade-begun
kill -9 "$begun"
wait "$begun" 2> /dev/null || true
run 3 plan -i "$inventory"
says "twilightsparkle"

row "the same command goes on"
run 0 upgrade -i "$inventory" --to "$to" --yes
# A control plane by itself is away while its programs are exchanged; docs/performance.md has how long.
answered 180
kubelets "$to"
ready 2
[ "$(kubectl get node fluttershy -o "'jsonpath={.spec.unschedulable}'")" = true ]
kubectl uncordon fluttershy > /dev/null
[ -z "$(kubectl get nodes -o "'jsonpath={.items[*].spec.unschedulable}'")" ]
[ -z "$(kubectl get nodes -o yaml | grep hostler/cordoned || true)" ]
grep -q "version: $to" "$inventory"

row "all of it is of the new version, and up has nothing to do"
empty
run 0 upgrade -i "$inventory" --yes
says "upgrading to $to, the newest version in hostler's list from"
says "nothing to do"
run 0 status -i "$inventory"
says healthy
[ "$(on twilightsparkle grep -h image: /etc/kubernetes/manifests/*.yaml | grep -c "v$to")" = 3 ]
kubectl -n kube-system get daemonset kube-proxy -o yaml | grep -q "kube-proxy:v$to"
kubectl -n kube-system get configmap kubeadm-config -o yaml | grep -q "kubernetesVersion: v$to"
[ -z "$(on twilightsparkle find /etc/kubernetes /var/lib/hostler -path "'*/tmp/kubeadm-*'" -o -name "'before-upgrade*'")" ]

row "the snapshot that was taken before it is there, and of the old version"
newest=$(find "$XDG_DATA_HOME/hostler/snapshots" -maxdepth 1 -name 'lab-*.tar.gz' | sort | head -n 1)
[ -n "$newest" ]
run 0 snapshot verify "$newest"
says "is valid"
says "and Kubernetes $from read"
says_not "!"

row "a machine joins the cluster that was upgraded, and another is rebuilt"
run 0 rebuild rainbowdash -i "$inventory" --yes
kubelets "$to"
ready 3
empty

row "what is older than the cluster is not restarted by up, but named"
old=$(on fluttershy ls /opt/hostler/sets | grep "^$from-")
on fluttershy ln -sfn "sets/$old" /opt/hostler/current
run 3 up -i "$inventory" --yes
says "fluttershy: the machine runs Kubernetes $from, but the cluster runs $to: an upgrade was not finished"
run 0 upgrade -i "$inventory" --to "$to" --yes
empty

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
