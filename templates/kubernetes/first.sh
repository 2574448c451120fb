kubectl --kubeconfig {{ path.admin }} --namespace {{ namespaces.system }} create configmap {{ configmap.record }} \
{% for item in cluster_record %}
    --from-literal={{ (item.name ~ "=" ~ item.value) | quote }} \
{% endfor %}
    --dry-run=client --output yaml | kubectl --kubeconfig {{ path.admin }} {{ kubectl.apply }} > /dev/null
output token "$token"
{% include "kubernetes/output-ca.sh" %}
