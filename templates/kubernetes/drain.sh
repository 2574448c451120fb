node={{ node | quote }}
patience={{ force_after if force_after is not none else 300 }}
kubectl get node "$node" > /dev/null 2>&1 || exit 0
kubectl cordon "$node" > /dev/null
drain() { kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force "$@" 2>&1; }
printf '@waiting %s the pods of %s to go elsewhere\n' "$patience" "$node"
if ! said=$(drain --timeout "${patience}s"); then
    printf '%s\n' "$said"
    blocking=$(printf '%s\n' "$said" | sed -n 's/.*evicting pods\/"\([^"]*\)" -n "\([^"]*\)".*disruption budget.*/\2\/\1/p' | sort -u | tr '\n' ' ')
{% if force_after is none %}
    [ -z "$blocking" ] || fail "a PodDisruptionBudget does not let these pods go: $blocking(--force-after takes them away all the same)"
    fail "not all pods of $node went away within $patience s"
{% else %}
    echo "a PodDisruptionBudget does not let these pods go, and they are taken away all the same: $blocking"
    drain --timeout 300s --disable-eviction || fail "not all pods of $node went away within 5 minutes"
{% endif %}
fi
