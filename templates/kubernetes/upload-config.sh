# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trap 'rm -f "$config"' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
{% if document == recorded.cluster %}
kubeadm init phase upload-config kubeadm --config "$config"
{% elif document == recorded.kubelet %}
kubeadm init phase upload-config kubelet --config "$config"
{% else %}
{% if replace %}
# kubeadm takes nothing away that somebody added, either: see apply.sh.
kubectl --namespace {{ namespaces.system }} delete daemonset kube-proxy --ignore-not-found > /dev/null
{% endif %}
kubeadm init phase addon kube-proxy --config "$config"
kubectl --namespace {{ namespaces.system }} rollout restart daemonset kube-proxy > /dev/null
{% endif %}
remember {{ document | quote }} {{ sha256 }}
