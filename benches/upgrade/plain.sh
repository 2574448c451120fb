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

# shellcheck source=benches/up/parts.sh
. "$(dirname "$(realpath "$0")")/../up/parts.sh"

sed "s/^  version: .*/  version: $version/" "$inventory" > "$work/new.yaml"
"$hostler" render -i "$work/new.yaml" --bundle "$bundle" --out "$work/files" > /dev/null
roles
parts .

# The new programs beside those in use, the files that differ, and the images.
send() {
    tar -C "$work/programs" -c . | on "$1" "mkdir -p /opt/hostler/$version && tar -C /opt/hostler/$version --no-same-owner -x"
    tar -C "$work/files/$1" -c . | on "$1" "mkdir -p /root/new && tar -C /root/new --no-same-owner -x"
    images "$1" "/opt/hostler/$version/bin"
}
sending=()
for machine in "$first" "${planes[@]}" "${workers[@]}"; do send "$machine" & sending+=($!); done
for job in "${sending[@]}"; do wait "$job"; done

kubectl() { on "$first" "/opt/hostler/$version/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf $*"; }
ignore=$(sed -n 's/^ *- \(.*\)/\1/p' <<< "$(sed -n '/^ignorePreflightErrors:/,/^[^ ]/p' "$inventory")" | paste -sd ,)
# upgrade MACHINE WORDS: by the new kubeadm.
upgrade() { on "$1" "PATH=/opt/hostler/$version/bin:\$PATH kubeadm upgrade $2 ${ignore:+--ignore-preflight-errors=$ignore} > /dev/null 2>&1"; }
upgrade "$first" "apply v$version --yes"
for machine in "${planes[@]}"; do upgrade "$machine" node; done
# What nobody evicted is Ready, everywhere.
all_ready() {
    kubectl "get pods --all-namespaces --no-headers" 2> /dev/null |
        awk '{ split($3, ready, "/"); if ($4 != "Completed" && ready[1] != ready[2]) waits = 1 } END { exit waits }'
}
machines=$((1 + ${#planes[@]} + ${#workers[@]}))
for machine in "$first" "${planes[@]}" "${workers[@]}"; do
    case " ${workers[*]} " in *" $machine "*) upgrade "$machine" node ;; esac
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
