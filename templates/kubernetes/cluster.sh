# For steps that speak to the cluster through this control plane's own API server.
PATH={{ path.bin }}:$PATH
kubectl() {
    command kubectl {{ kubectl.own }} "$@"
}
api() {
    kubectl --request-timeout 10s get --raw /readyz > /dev/null 2>&1 || temporary "the API server to answer"
}
# lost STATUS: an API server may stop in the middle of a step, above all one that has only just started. The step begins again once it answers.
lost() {
    case $1 in 0 | {{ exit.try_again }}) return ;; esac
    api
}
trap 'lost $?' EXIT
# remember NAME VALUE...: puts on record in the cluster what was applied last.
remember() {
    on_record "$@" 2> /dev/null && return
    kubectl --namespace {{ namespaces.system }} get configmap {{ configmap.record }} > /dev/null 2>&1 ||
        kubectl --namespace {{ namespaces.system }} create configmap {{ configmap.record }} > /dev/null
    on_record "$@"
}
on_record() {
    {
        echo data:
        while [ $# != 0 ]; do
            printf '  "%s": "%s"\n' "$1" "$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')"
            shift 2
        done
    } | kubectl --namespace {{ namespaces.system }} patch configmap {{ configmap.record }} --patch-file /dev/stdin > /dev/null
}
# forget NAME...: takes it off the record.
forget() {
    {
        echo data:
        for name; do printf '  "%s": null\n' "$name"; done
    } | kubectl --namespace {{ namespaces.system }} patch configmap {{ configmap.record }} --patch-file /dev/stdin > /dev/null
}
api
