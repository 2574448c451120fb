node={{ node | quote }}
there=$(kubectl get node "$node" --ignore-not-found --output name)
[ -n "$there" ] || exit 0
{% include "kubernetes/cordon.sh" %}
