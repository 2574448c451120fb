# forbidden NAMESPACE KIND/NAME: why pods of this DaemonSet, Deployment or Job are not created, by the newest event of it or of its ReplicaSet;
# nothing where all exist.
forbidden() {
    pods=$(kubectl --namespace "$1" get "$2" --output 'jsonpath={.status.currentNumberScheduled}{.status.replicas}{.status.active} {.status.desiredNumberScheduled}{.spec.replicas}{.spec.parallelism}') || return 0
    [ "${pods% *}" != "${pods#* }" ] || return 0
    kubectl --namespace "$1" get events --field-selector reason=FailedCreate --sort-by .lastTimestamp \
        --output 'jsonpath={range .items[*]}{.involvedObject.name}{"\t"}{.message}{"\n"}{end}' |
        awk -F '\t' -v name="${2#*/}" '$1 == name || index($1, name "-") == 1 { last = $2 } END { sub(/^.*Error creating: /, "", last); print substr(last, 1, 400) }'
}
