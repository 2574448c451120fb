node={{ node | quote }}
patience={{ force_after if force_after is not none else 300 }}
there=$(kubectl get node "$node" --ignore-not-found --output name)
[ -n "$there" ] || exit 0
{% if returns %}
{% include "kubernetes/cordon.sh" %}

{% else %}
kubectl cordon "$node" > /dev/null
{% endif %}
# drain SECONDS OPTIONS...: who is in the way is told as soon as kubectl knows it, once, and again where it ends in vain.
drain() {
    seconds=$1
    shift
    {
        if kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout "${seconds}s" "$@" 2>&1; then echo all-gone; fi
    } | {
        gone='' blocked='' slow=''
        while IFS= read -r line; do
            pod=$(printf '%s\n' "$line" | sed -n 's/.*pods\/"\([^"]*\)" -n "\([^"]*\)".*/\2\/\1/p; s/.*waiting for pod "\([^"]*\)" in namespace "\([^"]*\)".*/\2\/\1/p') || pod=
            case $line in
            all-gone)
                gone=1
                continue
                ;;
            *"disruption budget"*)
                # kubectl asks again every five seconds.
                case " $blocked " in *" $pod "*) continue ;; esac
                blocked="$blocked${blocked:+ }$pod"
                announce "$seconds" "a PodDisruptionBudget to allow the eviction of $blocked"
                ;;
            *"waiting for pod"*) case " $slow " in *" $pod "*) ;; *) slow="$slow${slow:+ }$pod" ;; esac ;;
            esac
            printf '%s\n' "$line"
        done
        [ -z "$gone" ] || exit 0
        [ -z "$blocked" ] || echo "a PodDisruptionBudget protects $blocked"
        [ -z "$slow" ] || echo "$slow did not end within $seconds s"
        exit 1
    }
}
# dead: its kubelet does not report any more, and nobody there ends pods.
dead() {
    [ "$(kubectl get node "$node" --output 'jsonpath={range .status.conditions[*]}{.type} {.status}{"\n"}{end}' | awk '$1 == "Ready" { print $2 }')" = Unknown ] || return 1
    echo "node $node no longer reports its status, so hostler does not wait for its pods to end"
}
announce "$patience" "the pods of $node to be evicted"
left=$patience drained=
while [ -z "$drained" ] && [ "$left" -gt 0 ]; do
    part=$((left < 60 ? left : 60))
    if drain "$part"; then drained=1; elif dead; then exit 0; fi
    left=$((left - part))
done
if [ -z "$drained" ]; then
{% if force_after is none %}
    fail "pods of $node were not evicted within $patience s (--force-after TIME deletes those that a PodDisruptionBudget protects)"
{% else %}
    announce 300 "the pods of $node to be deleted regardless of PodDisruptionBudgets"
    drain 300 --disable-eviction || fail "not all pods of $node were evicted"
{% endif %}
fi
