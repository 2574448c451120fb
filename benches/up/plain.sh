#!/usr/bin/env bash
# plain.sh HOSTLER INVENTORY [MACHINE]: the same machines, programs, images and files as `hostler up` puts there, by a shell script as a careful
# person would write it: machines side by side, one archive of programs and one of images each, nothing looked at. Further
# control planes get the cluster's keys by tar over SSH and join one after the other, as etcd takes one learner at a time; workers join side by
# side. At the end pods on all machines look for each other, as hostler's do. With MACHINE, just that one is added to the cluster.
# shellcheck disable=SC2016 # what is in single quotes runs on a machine
set -euo pipefail
hostler=$1 inventory=$2 added=${3:-}
bundle=${HOSTLER_CACHE:-/var/cache/hostler}/bundles/1.36.3-amd64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck source=benches/up/parts.sh
. "$(dirname "$(realpath "$0")")/parts.sh"

"$hostler" render -i "$inventory" --bundle "$bundle" --out "$work/files" > /dev/null
token=$(openssl rand -hex 3).$(openssl rand -hex 8)
find "$work/files" -name '*.yaml' -exec sed -i "s/TOKEN-MADE-HERE/$token/" {} +

roles
parts opt/hostler/current

prepare() {
    local machine=$1 packages="conntrack ethtool iptables socat chrony"
    # Who takes turns in holding the endpoint's address.
    [ ! -e "$work/files/$machine/etc/hostler/keepalived.conf" ] || packages="$packages keepalived curl"
    tar -C "$work/programs" -c . -C "$work/files/$machine" . | on "$machine" "packages='$packages'; "'set -e
        tar -C / --no-same-owner -x 2> /dev/null
        for program in /opt/hostler/current/bin/*; do ln -sf "$program" /usr/local/bin/; done
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends $packages > /dev/null
        sysctl -q --system > /dev/null 2>&1 || true
        hostname -F /etc/hostname
        systemctl daemon-reload
        systemctl enable -q --now containerd kubelet
        if [ -e /etc/hostler/keepalived.conf ]; then
            chmod 755 /usr/local/lib/hostler/*
            systemctl enable -q --now hostler-vip
        fi'
    images "$machine"
}

authority() {
    on "$first" 'openssl x509 -pubkey -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der 2> /dev/null | sha256sum | cut -d " " -f 1' > "$work/ca"
}
keys() {
    on "$first" 'tar -C /etc/kubernetes/pki -c ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key' > "$work/keys"
}
join() {
    sed "s/CA-HASH-FOUND-HERE/sha256:$(cat "$work/ca")/" "$work/files/$1/run/hostler/join.yaml" |
        on "$1" 'cat > /run/join.yaml; kubeadm join --config /run/join.yaml > /dev/null 2>&1'
}

if [ -n "$added" ]; then
    prepare "$added" & preparing=$!
    on "$first" "kubeadm token create $token --ttl 1h > /dev/null 2>&1"
    authority
    wait "$preparing"
    join "$added"
    on "$first" "kubectl --kubeconfig /etc/kubernetes/admin.conf wait --for=condition=Ready node/$added --timeout=180s > /dev/null"
    exit
fi

declare -A preparing=()
for machine in "$first" "${planes[@]}" "${workers[@]}"; do
    { prepare "$machine"; touch "$work/prepared-$machine"; } & preparing[$machine]=$!
done
# In a subshell, where `wait` knows no other's jobs.
prepared() {
    while kill -0 "${preparing[$1]}" 2> /dev/null; do sleep 0.1; done
    [ -e "$work/prepared-$1" ]
}
wait "${preparing[$first]}"
on "$first" 'kubeadm init --config /run/hostler/init.yaml > /dev/null 2>&1'
authority
on "$first" 'kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f - > /dev/null' < "$work/files/cluster/flannel.yaml"
joining=()
if [ ${#planes[@]} -gt 0 ]; then
    keys
    (
        for machine in "${planes[@]}"; do
            prepared "$machine"
            on "$machine" 'mkdir -p /etc/kubernetes/pki; tar -C /etc/kubernetes/pki --no-same-owner -x' < "$work/keys"
            join "$machine"
        done
    ) & joining+=($!)
fi
for machine in "${workers[@]}"; do
    { prepared "$machine"; join "$machine"; } & joining+=($!)
done
for job in "${joining[@]}"; do wait "$job"; done
on "$first" 'set -e; export KUBECONFIG=/etc/kubernetes/admin.conf
    kubectl wait --for=condition=Ready nodes --all --timeout=180s > /dev/null
    kubectl -n kube-system rollout status deployment/coredns > /dev/null'
on "$first" 'set -e; export KUBECONFIG=/etc/kubernetes/admin.conf
    kubectl apply -f - > /dev/null
    kubectl --namespace hostler-probe rollout status daemonset probe > /dev/null
    kubectl delete namespace hostler-probe --wait=false > /dev/null' < "$work/files/cluster/probe.yaml"
