# wanted_pods: which static pods of kubeadm kubelet wants to run, by hashes of what is in their manifests.
wanted_pods() {
    pods=$(command kubectl --kubeconfig /dev/null --server https://127.0.0.1:{{ port.kubelet }} --insecure-skip-tls-verify \
        --client-certificate {{ path.pki }}/apiserver-kubelet-client.crt --client-key {{ path.pki }}/apiserver-kubelet-client.key \
        get --raw /pods) || return 1
    printf '%s' "$pods" | sed 's/{"metadata":{/\n/g' | grep '"tier":"control-plane"' | grep -o '"kubernetes.io/config.hash":"[^"]*"' |
        cut -d '"' -f 4
}
