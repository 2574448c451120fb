# A kubelet of another version may know the pods of its manifests by other names, and starts them anew a moment after its own start. Whoever
# asks the API server before that is cut off in mid-sentence.
static_pods_run() {
    pods=$(kubectl --server https://127.0.0.1:{{ port.kubelet }} --insecure-skip-tls-verify \
        --client-certificate {{ path.pki }}/apiserver-kubelet-client.crt --client-key {{ path.pki }}/apiserver-kubelet-client.key \
        get --raw /pods) || return 1
    wanted=$(printf '%s' "$pods" | grep -o '"kubernetes.io/config.hash":"[^"]*"' | cut -d '"' -f 4) || return 1
    [ -n "$wanted" ] || return 1
    for pod in $wanted; do
        [ -n "$(crictl ps --quiet --state Running --label "io.kubernetes.pod.uid=$pod")" ] || return 1
    done
}
if [ -e {{ path.pki }}/apiserver-kubelet-client.key ]; then
    await 240 "kubelet to start the static pods" static_pods_run
    await 240 "the API server to answer" kubectl {{ kubectl.own }} get --raw /readyz
fi
# Copies that kubeadm made of what it replaced: manifests, kubelet's configuration, etcd's data.
rm -rf {{ path.kubernetes }}/tmp/kubeadm-*
