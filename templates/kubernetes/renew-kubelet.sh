PATH=/opt/hostler/current/bin:$PATH
KUBECONFIG=/etc/kubernetes/kubelet.conf
export KUBECONFIG
kubeadm upgrade node phase kubelet-config > /dev/null || {
    renewed=$?
    # What kubeadm said is passed on. Where the API server answers, waiting for it mends nothing: a full disk, for one.
    kubectl --request-timeout 10s get --raw /readyz > /dev/null 2>&1 || temporary "the API server to answer"
    exit "$renewed"
}
systemctl restart kubelet
# A unit that is active may fail a second later: what counts is what kubelet says of itself.
await 90 "kubelet to be well" kubectl --server http://127.0.0.1:10248 get --raw /healthz
record kubelet {{ sha256 }}
record kubelet-file "$(sha256sum < /var/lib/kubelet/config.yaml | cut -d ' ' -f 1)"
