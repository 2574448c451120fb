PATH={{ path.bin }}:$PATH
{% if config %}
# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trap 'rm -f "$config"' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
await_containerd
kubeadm certs renew all --config "$config" > /dev/null
# Only these two hold theirs in memory, inside their kubeconfig; kubelet starts them anew. The API is not away for it.
for name in kube-controller-manager kube-scheduler; do
    for container in $(crictl ps --quiet --state Running --name "$name"); do crictl stop "$container" > /dev/null || :; done
done
runs() { [ -n "$(crictl ps --quiet --state Running --name "$1")" ]; }
await 180 "the controller manager to start" runs kube-controller-manager
await 180 "the scheduler to start" runs kube-scheduler
{% endif %}
{% if serving %}
# kubelet makes one where there is none, when it starts. Nobody verifies it.
rm -f {{ path.kubelet_pki }}/kubelet.crt {{ path.kubelet_pki }}/kubelet.key
systemctl restart kubelet
is_well() { [ -e {{ path.kubelet_pki }}/kubelet.crt ] && kubectl --server http://127.0.0.1:{{ port.kubelet_health }} get --raw /healthz; }
await 90 "kubelet to be well" is_well
{% endif %}
{% if config %}
await 240 "the API server to answer" kubectl {{ kubectl.own }} get --raw /readyz
{% endif %}
