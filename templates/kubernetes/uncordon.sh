node={{ node | quote }}
conditions='{range .status.conditions[*]}{.type}={.status} {end}'
is_ready() {
    case $(kubectl get node "$node" --output "jsonpath={.status.nodeInfo.kubeletVersion} $conditions") in
    {{ ("v" ~ version) | quote }}' '*'Ready=True '*) ;;
    *) return 1 ;;
    esac
}
await 300 "node $node to be Ready with {{ version }}" is_ready
since=$(kubectl get node "$node" --output 'jsonpath={.metadata.annotations.{{ annotation.cordoned }}}')
[ -n "$since" ] || exit 0
kubectl uncordon "$node" > /dev/null
# What was made since the node was cordoned, and has not come up: whoever drains the next node would take away the only one that runs.
pods='{range .items[*]}{.metadata.creationTimestamp} {.metadata.namespace}/{.metadata.name} {.status.phase} {.metadata.ownerReferences[0].kind}- '
all_back() {
    left=$(kubectl get pods --all-namespaces --output "jsonpath=$pods$conditions{\"\\n\"}{end}") || return 1
    left=$(printf '%s\n' "$left" |
        awk -v since="$since" '$1 >= since && $3 != "Succeeded" && $4 !~ /^(DaemonSet|Job|Node)-$/ && !/ Ready=True / { print $2 }') || return 1
    [ -z "$left" ]
}
(await 600 "pods that were evicted from $node to be Ready" all_back) || {
    all_back || fail "pods evicted from $node are not Ready after 10 minutes: $(printf '%s' "$left" | head -n 5 | tr '\n' ' ')"
}
kubectl annotate node "$node" {{ annotation.cordoned }}- > /dev/null
