config=/run/hostler/config.yaml
trap 'rm -f "$config"' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
{% if document == "cluster" %}
kubeadm init phase upload-config kubeadm --config "$config"
{% elif document == "kubelet" %}
kubeadm init phase upload-config kubelet --config "$config"
{% else %}
kubeadm init phase addon kube-proxy --config "$config"
kubectl --namespace kube-system rollout restart daemonset kube-proxy > /dev/null
{% endif %}
remember {{ document | quote }} {{ sha256 }}
