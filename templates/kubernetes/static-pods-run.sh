# A pod of before has another hash. Whoever asks the API server before all have started is cut off in mid-sentence.
static_pods_run() {
    wanted=$(wanted_pods) || return 1
    [ -n "$wanted" ] || return 1
    for pod in $wanted; do
        [ -n "$(crictl ps --quiet --state Running --label "io.kubernetes.pod.uid=$pod")" ] || return 1
    done
}
if [ -e {{ path.pki }}/apiserver-kubelet-client.key ]; then
    await 240 "kubelet to start the static pods" static_pods_run
    await 240 "the API server to answer" kubectl {{ kubectl.own }} get --raw /readyz
fi
