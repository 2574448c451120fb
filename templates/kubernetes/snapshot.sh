# What a lost control plane is brought back from, as a compressed tar "$archive": etcd's data, the keys that the cluster trusts, and
# kubeadm's documents. It holds every secret of the cluster: what follows this takes it, and nothing stays in "$folder".
set -eu
umask 077
PATH={{ path.bin }}:$PATH
[ -e {{ path.pki }}/ca.key ] || {
    echo "this is not a control plane: there is no {{ path.pki }}/ca.key" >&2
    exit 1
}
mkdir -p {{ path.work }}
chmod 700 {{ path.work }}
# One that was cut off, as by a power failure, would keep every secret for good. Whoever makes one holds it for as long as it lives.
exec 6< {{ path.work }}
flock -w 60 6 || {
    echo "another snapshot is being started, and does not end" >&2
    exit 1
}
for old in {{ path.work }}/snapshot.??????; do
    [ ! -d "$old" ] || flock --nonblock "$old" rm -rf "$old" || :
done
folder=$(mktemp -d {{ path.work }}/snapshot.XXXXXX)
trap 'rm -rf "$folder"' EXIT
exec 7< "$folder"
flock 7
exec 6<&-
trap 'exit 1' HUP INT TERM
what=$folder/snapshot
mkdir -p "$what/pki/etcd"
etcdctl --endpoints {{ etcdctl.own }} {{ etcdctl.tls }} \
    --command-timeout 120s snapshot save "$what/{{ archive.etcd }}" > "$folder/said" 2>&1 || {
    cat "$folder/said" >&2
    exit 1
}
# A snapshot that was cut or changed on its way fails its own sum here.
etcdutl snapshot status "$what/{{ archive.etcd }}" --write-out json > "$what/{{ archive.etcd_status }}"
for file in {{ archive.pki | join(" ") }}; do
    cp "{{ path.pki }}/$file" "$what/pki/$file"
done
api() {
    kubectl {{ kubectl.own }} --request-timeout 20s \
        --cache-dir "$folder/kubectl" "$@"
}
for name in {{ archive.documents | join(" ") }}; do
    api --namespace {{ namespaces.system }} get configmap "$name" --output yaml > "$what/$name.yaml"
done
# Who was in the cluster, so that nobody has to look into etcd's data for it.
api get nodes --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' > "$what/{{ archive.nodes }}"
date -u +%Y-%m-%dT%H:%M:%SZ > "$what/{{ archive.taken }}"
archive=$folder/snapshot.tar.gz
tar -czf "$archive" -C "$what" {{ archive.etcd }} {{ archive.etcd_status }} pki{% for name in archive.documents %} {{ name }}.yaml{% endfor %} {{ archive.nodes }} {{ archive.taken }}
