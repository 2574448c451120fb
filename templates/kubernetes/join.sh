PATH=/opt/hostler/current/bin:$PATH
config=/run/hostler/join.yaml
trap 'rm -f "$config" "$config".*' EXIT
{% if again %}
[ -e /etc/hostler/applied/join-begun ] || fail "what is here was not left by a join of hostler's that was cut"
kubeadm reset --force > /dev/null
{% endif %}
take "$config" 600 {{ config.size }} {{ config.sha256 }}
record join-begun "$run"
{% if pki %}
# The certificate authorities come through hostler's memory: no secret in the cluster, none on the user's disk.
mkdir -p /etc/kubernetes/pki/etcd
head -c {{ pki.size }} | tar -xf - -C /etc/kubernetes/pki --no-same-owner
{% endif %}
kubeadm join --config "$config"
{% for item in record %}
record {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
record kubelet-file "$(sha256sum < /var/lib/kubelet/config.yaml | cut -d ' ' -f 1)"
rm -f /etc/hostler/applied/join-begun
