PATH=/opt/hostler/current/bin:$PATH
await_containerd
config=/run/hostler/init.yaml
patches=/run/hostler/patches
trap 'rm -rf "$config" "$config".* "$patches"' EXIT
{% if again %}
# The mark below was set, but never what follows success: nobody can have joined yet.
[ -e /etc/hostler/applied/init-begun ] || fail "what is here was not left by an init of hostler's that was cut"
kubeadm reset --force > /dev/null
rm -rf /etc/cni/net.d/10-flannel.conflist
{% endif %}
[ ! -e /etc/kubernetes/kubelet.conf ] || fail "it has joined a cluster since it was looked at: run again"
token=$(kubeadm token generate)
take "$config.in" 600 {{ config.size }} {{ config.sha256 }}
take "$patches/corednsdeployment.yaml" 600 {{ coredns.size }} {{ coredns.sha256 }}
# printf is the shell's own: the token appears in no process list.
text=$(cat "$config.in")
(umask 077 && printf '%s\n' "${text%%TOKEN-MADE-HERE*}$token${text#*TOKEN-MADE-HERE}" > "$config")
record init-begun "$run"
aloud kubeadm init --config "$config" --skip-token-print --skip-certificate-key-print
{% for item in record %}
record {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
record kubelet-file "$(sha256sum < /var/lib/kubelet/config.yaml | cut -d ' ' -f 1)"
rm -f /etc/hostler/applied/init-begun
kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system create configmap hostler \
{% for item in cluster_record %}
    --from-literal={{ (item.name ~ "=" ~ item.value) | quote }} \
{% endfor %}
    --dry-run=client --output yaml | kubectl --kubeconfig /etc/kubernetes/admin.conf apply --server-side --force-conflicts --field-manager hostler --filename - > /dev/null
output token "$token"
output ca "$(base64 -w 0 < /etc/kubernetes/pki/ca.crt)"
