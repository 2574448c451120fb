PATH=/opt/hostler/current/bin:$PATH
await_containerd
config=/run/hostler/join.yaml
trap 'rm -f "$config" "$config".*' EXIT
{% if again %}
[ -e /etc/hostler/applied/join-begun ] || fail "what is here was not left by a join of hostler's that was cut"
kubeadm reset --force > /dev/null
{% endif %}
# Another hostler may have been faster: without a mark, nobody takes its work for a join that was cut.
[ ! -e /etc/kubernetes/kubelet.conf ] || fail "it has joined a cluster since it was looked at: run again"
take "$config" 600 {{ config.size }} {{ config.sha256 }}
record join-begun "$run"
{% if pki %}
# The certificate authorities come through hostler's memory: no secret in the cluster, none on the user's disk.
mkdir -p /etc/kubernetes/pki/etcd
head -c {{ pki.size }} | tar -xf - -C /etc/kubernetes/pki --no-same-owner
{% endif %}
joined=0
kubeadm join --config "$config" > "$config.said" 2>&1 || joined=$?
cat "$config.said" || :
if grep -q 'status "Ready" already exists' "$config.said"; then
    # Its kubelet of before is stopped, which the cluster learns after a while.
    kubeadm reset --force > /dev/null
    temporary "the cluster to notice that node $(hostname) has left"
fi
[ "$joined" = 0 ] || exit "$joined"
{% for item in record %}
record {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
record kubelet-file "$(sha256sum < /var/lib/kubelet/config.yaml | cut -d ' ' -f 1)"
rm -f /etc/hostler/applied/join-begun
