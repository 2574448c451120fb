# What a lost control plane is brought back from, as a compressed tar "$archive": etcd's data, the keys that the cluster trusts, and
# kubeadm's documents. It holds every secret of the cluster: what follows this takes it, and nothing stays in "$folder".
set -eu
umask 077
PATH=/opt/hostler/current/bin:$PATH
[ -e /etc/kubernetes/pki/ca.key ] || {
    echo "no control plane is here: there is no /etc/kubernetes/pki/ca.key" >&2
    exit 1
}
mkdir -p /var/lib/hostler
chmod 700 /var/lib/hostler
folder=$(mktemp -d /var/lib/hostler/snapshot.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
what=$folder/snapshot
mkdir -p "$what/pki/etcd"
pki=/etc/kubernetes/pki
etcdctl --endpoints https://127.0.0.1:2379 --cacert "$pki/etcd/ca.crt" --cert "$pki/etcd/healthcheck-client.crt" \
    --key "$pki/etcd/healthcheck-client.key" --command-timeout 120s snapshot save "$what/etcd.db" > "$folder/said" 2>&1 || {
    cat "$folder/said" >&2
    exit 1
}
# A snapshot that was cut or changed on its way fails its own sum here.
etcdutl snapshot status "$what/etcd.db" --write-out json > "$what/etcd.json"
for file in ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key; do
    cp "$pki/$file" "$what/pki/$file"
done
api() {
    kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 --tls-server-name kubernetes --request-timeout 20s \
        --cache-dir "$folder/kubectl" "$@"
}
for name in kubeadm-config kubelet-config; do
    api --namespace kube-system get configmap "$name" --output yaml > "$what/$name.yaml"
done
# Who was in the cluster, so that nobody has to look into etcd's data for it.
api get nodes --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' > "$what/nodes"
date -u +%Y-%m-%dT%H:%M:%SZ > "$what/taken"
archive=$folder/snapshot.tar.gz
tar -czf "$archive" -C "$what" etcd.db etcd.json pki kubeadm-config.yaml kubelet-config.yaml nodes taken
