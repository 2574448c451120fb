# kubelet knows from its manifests which pods are to run, by hashes of what is in them: a pod of before has another. Whoever asks the API server
# before all have started is cut off in mid-sentence. Of the static pods only those of kubeadm count.
static_pods_run() {
    pods=$(command kubectl --kubeconfig /dev/null --server https://127.0.0.1:{{ port.kubelet }} --insecure-skip-tls-verify \
        --client-certificate {{ path.pki }}/apiserver-kubelet-client.crt --client-key {{ path.pki }}/apiserver-kubelet-client.key \
        get --raw /pods) || return 1
    wanted=$(printf '%s' "$pods" | sed 's/{"metadata":{/\n/g' | grep '"tier":"control-plane"' | grep -o '"kubernetes.io/config.hash":"[^"]*"' |
        cut -d '"' -f 4) || return 1
    [ -n "$wanted" ] || return 1
    for pod in $wanted; do
        [ -n "$(crictl ps --quiet --state Running --label "io.kubernetes.pod.uid=$pod")" ] || return 1
    done
}
if [ -e {{ path.pki }}/apiserver-kubelet-client.key ]; then
    await 240 "kubelet to start the static pods" static_pods_run
    await 240 "the API server to answer" kubectl {{ kubectl.own }} get --raw /readyz
fi
