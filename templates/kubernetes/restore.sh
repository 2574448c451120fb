# The only control plane of a cluster that lives on elsewhere comes back from a snapshot: the same keys, what etcd held, the same endpoint.
PATH=/opt/hostler/current/bin:$PATH
await_containerd
config=/run/hostler/init.yaml
patches=/run/hostler/patches
folder=/var/lib/hostler/restore
trap 'rm -rf "$config" "$config".* "$patches" "$folder"' EXIT
if [ -e /etc/hostler/applied/restore-begun ]; then
    kubeadm reset --force --skip-phases remove-etcd-member > /dev/null
    rm -rf --one-file-system /var/lib/etcd
    rm -f /etc/cni/net.d/10-flannel.conflist
fi
for path in /etc/kubernetes/pki/ca.key /etc/kubernetes/admin.conf /etc/kubernetes/manifests/etcd.yaml /var/lib/etcd/member; do
    [ ! -e "$path" ] || fail "$path is there already, and no restore of hostler's that was cut has left it"
done
rm -rf "$folder"
mkdir -p /var/lib/hostler
chmod 700 /var/lib/hostler
mkdir -m 700 "$folder"
take "$folder/snapshot.tar.gz" 600 {{ snapshot.size }} {{ snapshot.sha256 }}
take "$config.in" 600 {{ config.size }} {{ config.sha256 }}
take "$patches/corednsdeployment.yaml" 600 {{ coredns.size }} {{ coredns.sha256 }}
token=$(kubeadm token generate)
# printf is the shell's own: the token appears in no process list.
text=$(cat "$config.in")
(umask 077 && printf '%s\n' "${text%%TOKEN-MADE-HERE*}$token${text#*TOKEN-MADE-HERE}" > "$config")
record restore-begun "$run"
pki="pki/ca.crt pki/ca.key pki/sa.key pki/sa.pub pki/front-proxy-ca.crt pki/front-proxy-ca.key pki/etcd/ca.crt pki/etcd/ca.key"
# shellcheck disable=SC2086 # they are words
(umask 077 && tar -xzf "$folder/snapshot.tar.gz" -C "$folder" --no-same-owner --no-same-permissions etcd.db $pki)
mkdir -p /etc/kubernetes/pki/etcd
for file in $pki; do
    case $file in
    *.key) mode=600 ;;
    *) mode=644 ;;
    esac
    chmod "$mode" "$folder/$file"
    mv -f "$folder/$file" "/etc/kubernetes/$file"
done
# Kubelets and controllers have seen revisions that this snapshot knows nothing of: all that comes now is newer than any of those, and
# whoever watches from an old one is told to look anew.
# Whatever was restored before, and from whichever snapshot: the clock says where it begins. A thousand revisions for each second since 2020
# are more than any cluster here has used.
status=$(etcdutl snapshot status "$folder/etcd.db")
bump=$((($(date +%s) - 1577836800) * 1000 - $(echo "$status" | cut -d , -f 2)))
[ "$bump" -gt 1000000000 ] || bump=1000000000
aloud etcdutl snapshot restore "$folder/etcd.db" --bump-revision "$bump" --mark-compacted --data-dir /var/lib/etcd \
    --name {{ node | quote }} --initial-cluster {{ (node ~ "=" ~ peer) | quote }} --initial-advertise-peer-urls {{ peer | quote }}
rm -rf "$folder"
aloud kubeadm init --config "$config" --skip-token-print --skip-certificate-key-print --ignore-preflight-errors DirAvailable--var-lib-etcd
{% for item in record %}
record {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
record kubelet-file "$(sha256sum < /var/lib/kubelet/config.yaml | cut -d ' ' -f 1)"
rm -f /etc/hostler/applied/restore-begun
kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system create configmap hostler \
{% for item in cluster_record %}
    --from-literal={{ (item.name ~ "=" ~ item.value) | quote }} \
{% endfor %}
    --dry-run=client --output yaml | kubectl --kubeconfig /etc/kubernetes/admin.conf apply --server-side --force-conflicts --field-manager hostler --filename - > /dev/null
output token "$token"
output ca "$(base64 -w 0 < /etc/kubernetes/pki/ca.crt)"
