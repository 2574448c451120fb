node={{ node | quote }}
kubectl get node "$node" > /dev/null 2>&1 || temporary "node $node to register"
{% if labels %}
kubectl label --overwrite node "$node" {{ labels | words }} > /dev/null
{% endif %}
{% for taint in remove_taints %}
why=$(kubectl taint node "$node" {{ (taint ~ "-") | quote }} 2>&1) || case $why in
    # Somebody else has removed it.
    *'not found'*) ;;
    *) fail "the taint {{ taint }} could not be removed from node $node: $why" ;;
esac
{% endfor %}
{% if taints %}
kubectl taint --overwrite node "$node" {{ taints | words }} > /dev/null
{% endif %}
remember {{ (recorded.node ~ node) | quote }} {{ record | quote }}
