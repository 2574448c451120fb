# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trap 'rm -rf "$config" {{ path.patches }}' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
take {{ path.coredns_patch }} 600 {{ coredns.size }} {{ coredns.sha256 }}
kubeadm init phase addon kube-proxy --config "$config" > /dev/null
{% if image %}
# kubeadm takes CoreDNS to a newer version by itself, and to an older one not at all.
kubectl --namespace {{ namespaces.system }} set image deployment coredns coredns={{ image | quote }} > /dev/null
{% endif %}
kubeadm init phase addon coredns --config "$config" > /dev/null
# Last: its version says that all of it is done.
kubeadm init phase upload-config kubeadm --config "$config" > /dev/null
remember {{ recorded.cluster }} {{ sha256 }}
