#!/usr/bin/env bash
# plain.sh HOSTLER INVENTORY VERSION: a cluster that hostler made is upgraded by a shell script as a careful person would write it, with the same
# programs, images and files, and with the same draining and waiting: everything new to all machines first, side by side; then the control
# planes one at a time with kubeadm; then each node in turn is drained, gets the new programs, and is awaited, with the pods that it lost. At the
# end pods on all machines look for each other, as hostler's do. It looks at nothing before, and takes no snapshot.
# shellcheck disable=SC2016 # what is in single quotes runs on a machine
set -euo pipefail
hostler=$1 inventory=$2 version=$3
bundle=${HOSTLER_CACHE:-/var/cache/hostler}/bundles/$version-$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

on() { local machine=$1; shift; "$hostler" lab ssh "$machine" "$*"; }

sed "s/^  version: .*/  version: $version/" "$inventory" > "$work/new.yaml"
"$hostler" render -i "$work/new.yaml" --bundle "$bundle" --out "$work/files" > /dev/null
first='' planes=() workers=()
for run in "$work"/files/*/run/hostler; do
    machine=${run#"$work/files/"} machine=${machine%%/*}
    if [ -e "$run/init.yaml" ]; then
        first=$machine
    elif grep -q '^controlPlane:' "$run/join.yaml"; then
        planes+=("$machine")
    else
        workers+=("$machine")
    fi
done

python3 - "$bundle" "$work" <<'PYTHON'
import json, os, sys
bundle, work = sys.argv[1:]
manifest = json.load(open(f"{bundle}/manifest.json"))
for file in manifest["files"]:
    folder = f"{work}/programs/" + ("cni" if file["kind"] == "cniPlugin" else "bin")
    os.makedirs(folder, exist_ok=True)
    os.symlink(f"{bundle}/files/{file['sha256']}", f"{folder}/{file['name']}")
index = {"schemaVersion": 2, "manifests": [
    {"mediaType": image["mediaType"], "digest": image["digest"], "size": image["manifestSize"],
     "annotations": {"io.containerd.image.name": image["reference"]}} for image in manifest["images"]]}
os.makedirs(f"{work}/oci")
json.dump(index, open(f"{work}/oci/index.json", "w"))
open(f"{work}/oci/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
PYTHON

# The new programs beside those in use, the files that differ, and the images.
send() {
    tar -C "$work/programs" --dereference -c . | on "$1" "mkdir -p /opt/hostler/$version && tar -C /opt/hostler/$version --no-same-owner -x"
    tar -C "$work/files/$1" -c . | on "$1" "mkdir -p /root/new && tar -C /root/new --no-same-owner -x"
    # One tar after another, without the first one's end.
    { tar -C "$work/oci" -b 1 -c oci-layout index.json | head -c -1024; cat "$bundle/images.tar"; } |
        on "$1" "/opt/hostler/$version/bin/ctr -n k8s.io images import --local - > /dev/null"
}
sending=()
for machine in "$first" "${planes[@]}" "${workers[@]}"; do send "$machine" & sending+=($!); done
for job in "${sending[@]}"; do wait "$job"; done

kubectl() { on "$first" "/opt/hostler/$version/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf $*"; }
ignore=$(sed -n 's/^ *- \(.*\)/\1/p' <<< "$(sed -n '/^ignorePreflightErrors:/,/^[^ ]/p' "$inventory")" | paste -sd ,)
on "$first" "PATH=/opt/hostler/$version/bin:\$PATH kubeadm upgrade apply v$version --yes ${ignore:+--ignore-preflight-errors=$ignore} > /dev/null 2>&1"
for machine in "${planes[@]}"; do
    on "$machine" "PATH=/opt/hostler/$version/bin:\$PATH kubeadm upgrade node ${ignore:+--ignore-preflight-errors=$ignore} > /dev/null 2>&1"
done
# What nobody evicted is Ready, everywhere.
all_ready() {
    kubectl "get pods --all-namespaces --no-headers" 2> /dev/null |
        awk '{ split($3, ready, "/"); if ($4 != "Completed" && ready[1] != ready[2]) waits = 1 } END { exit waits }'
}
machines=$((1 + ${#planes[@]} + ${#workers[@]}))
for machine in "$first" "${planes[@]}" "${workers[@]}"; do
    case " ${workers[*]} " in
    *" $machine "*) on "$machine" "PATH=/opt/hostler/$version/bin:\$PATH kubeadm upgrade node ${ignore:+--ignore-preflight-errors=$ignore} > /dev/null 2>&1" ;;
    esac
    [ "$machines" = 1 ] || kubectl "drain $machine --ignore-daemonsets --delete-emptydir-data --force --timeout 300s > /dev/null 2>&1"
    on "$machine" "set -e
        cp -r /root/new/etc/. /etc/
        ln -sfn $version /opt/hostler/current.new && mv -fT /opt/hostler/current.new /opt/hostler/current
        systemctl daemon-reload
        systemctl restart containerd kubelet"
    kubectl "wait --for=condition=Ready node/$machine --timeout=180s > /dev/null"
    until [ "$(kubectl "get node $machine -o 'jsonpath={.status.nodeInfo.kubeletVersion}'" 2> /dev/null)" = "v$version" ]; do sleep 0.5; done
    kubectl "uncordon $machine > /dev/null"
    until all_ready; do sleep 0.5; done
done
kubectl "-n kube-system rollout status deployment/coredns > /dev/null"
on "$first" "cat > /root/probe.yaml; set -e; export KUBECONFIG=/etc/kubernetes/admin.conf PATH=/opt/hostler/$version/bin:\$PATH
    kubectl apply -f /root/probe.yaml > /dev/null
    kubectl --namespace hostler-probe rollout status daemonset probe > /dev/null
    kubectl delete namespace hostler-probe --wait=false > /dev/null" < "$work/files/cluster/probe.yaml"
