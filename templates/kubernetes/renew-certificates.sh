PATH={{ path.bin }}:$PATH
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
await 240 "the API server to answer" kubectl {{ kubectl.own }} get --raw /readyz
