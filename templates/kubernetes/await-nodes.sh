for node in {{ nodes | words }}; do
    await 60 "node $node to register" kubectl get node "$node"
done
# A kubectl that fails says nothing, which is not the same as no node that is not Ready.
ready() {
    said=$(kubectl get nodes {{ nodes | words }} --output 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}') &&
        ! printf '%s\n' "$said" | grep -qvx True
}
single() { [ "$(kubectl get node {{ nodes[0] | quote }} --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
await 300 "nodes to be Ready" {% if nodes | length == 1 %}single{% else %}ready{% endif %}

