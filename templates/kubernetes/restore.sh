# The only control plane of a cluster that lives on elsewhere comes back from a snapshot: the same keys, what etcd held, the same endpoint.
PATH={{ path.bin }}:$PATH
await_containerd
config={{ path.init_config }}
folder={{ path.work }}/restore
trap 'rm -rf "$config" "$config".* {{ path.patches }} "$folder"' EXIT
if [ -e {{ path.applied }}/{{ mark.restore }} ]; then
    kubeadm reset --force --skip-phases remove-etcd-member > /dev/null
    rm -rf --one-file-system {{ path.etcd }}
    rm -f {{ path.flannel_cni }}
fi
for path in {{ path.pki }}/ca.key {{ path.admin }} {{ path.manifests }}/etcd.yaml {{ path.etcd }}/member; do
    [ ! -e "$path" ] || fail "$path exists already, and was not left by an interrupted restore"
done
rm -rf "$folder"
mkdir -p {{ path.work }}
chmod 700 {{ path.work }}
mkdir -m 700 "$folder"
take "$folder/snapshot.tar.gz" 600 {{ snapshot.size }} {{ snapshot.sha256 }}
{% include "kubernetes/init-config.sh" %}
record {{ mark.restore }} "$run"
(umask 077 && tar -xzf "$folder/snapshot.tar.gz" -C "$folder" --no-same-owner --no-same-permissions {{ archive.etcd }}{% for file in archive.pki %} pki/{{ file }}{% endfor %})
mkdir -p {{ path.pki }}/etcd
for file in {{ archive.pki | join(" ") }}; do
    case $file in
    *.key) mode=600 ;;
    *) mode=644 ;;
    esac
    chmod "$mode" "$folder/pki/$file"
    mv -f "$folder/pki/$file" "{{ path.pki }}/$file"
done
# Kubelets and controllers have seen revisions that this snapshot knows nothing of: all that comes now is newer than any of those, and
# whoever watches from an old one is told to look anew.
# Whatever was restored before, and from whichever snapshot: the clock says where it begins. A thousand revisions for each second since 2020
# are more than any cluster here has used.
status=$(etcdutl snapshot status "$folder/{{ archive.etcd }}")
bump=$((($(date +%s) - 1577836800) * 1000 - $(echo "$status" | cut -d , -f 2)))
[ "$bump" -gt 1000000000 ] || bump=1000000000
aloud etcdutl snapshot restore "$folder/{{ archive.etcd }}" --bump-revision "$bump" --mark-compacted --data-dir {{ path.etcd }} \
    --name {{ node | quote }} --initial-cluster {{ (node ~ "=" ~ peer) | quote }} --initial-advertise-peer-urls {{ peer | quote }}
rm -rf "$folder"
aloud kubeadm init --config "$config" --skip-token-print --skip-certificate-key-print --ignore-preflight-errors DirAvailable--var-lib-etcd
{% include "kubernetes/recorded.sh" %}
rm -f {{ path.applied }}/{{ mark.restore }}
{% include "kubernetes/first.sh" %}
# What the snapshot says was verified is not what is here now.
kubectl --kubeconfig {{ path.admin }} --namespace {{ namespaces.system }} patch configmap {{ configmap.record }} --type merge \
    --patch '{"data":{"{{ recorded.verified }}":null}}' > /dev/null
