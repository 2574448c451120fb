# Who joins finds the cluster by what is public of it, which the controller manager signs with every token. Where it has not yet, kubeadm
# looks again after 5 seconds.
signed() {
    kubectl --kubeconfig "$1" --namespace kube-public get configmap cluster-info \
        --output "jsonpath={.data.jws-kubeconfig-$2}" | grep -q .
}
# await_signature KUBECONFIG TOKEN_ID
await_signature() { (await 20 "the controller manager to know the token" signed "$1" "$2") || :; }
