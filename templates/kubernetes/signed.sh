# Who joins finds the cluster by what is public of it, which the controller manager signs with every token. Where it has not yet, kubeadm
# looks again after 5 seconds.
# signed KUBECONFIG TOKEN_ID
signed() {
    kubectl --kubeconfig "$1" --namespace kube-public get configmap cluster-info \
        --output "jsonpath={.data.jws-kubeconfig-$2}" | grep -q .
}
