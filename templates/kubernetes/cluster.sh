# For steps that speak to the cluster through this control plane's own API server.
PATH=/opt/hostler/current/bin:$PATH
kubectl() {
    command kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 --tls-server-name kubernetes "$@"
}
api() {
    kubectl --request-timeout 10s get --raw /readyz > /dev/null 2>&1 || temporary "the API server to answer"
}
# remember NAME VALUE: puts on record in the cluster what was applied last.
remember() {
    on_record "$@" 2> /dev/null && return
    kubectl --namespace kube-system get configmap hostler > /dev/null 2>&1 ||
        kubectl --namespace kube-system create configmap hostler > /dev/null
    on_record "$@"
}
on_record() {
    printf 'data: {"%s": "%s"}\n' "$1" "$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')" |
        kubectl --namespace kube-system patch configmap hostler --patch-file /dev/stdin > /dev/null
}
# forget NAME: takes it off the record.
forget() {
    kubectl --namespace kube-system patch configmap hostler --patch "{\"data\": {\"$1\": null}}" > /dev/null
}
api
