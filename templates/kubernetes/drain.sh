node={{ node | quote }}
kubectl get node "$node" > /dev/null 2>&1 || exit 0
kubectl cordon "$node" > /dev/null
if ! said=$(kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout 300s 2>&1); then
    printf '%s\n' "$said"
    blocking=$(printf '%s\n' "$said" | sed -n 's/.*evicting pods\/"\([^"]*\)" -n "\([^"]*\)".*disruption budget.*/\2\/\1/p' | sort -u | tr '\n' ' ')
    [ -z "$blocking" ] || fail "a PodDisruptionBudget does not let these pods go: $blocking"
    fail "not all pods of $node went away within 5 minutes"
fi
