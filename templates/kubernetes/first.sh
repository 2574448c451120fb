# For the first minutes of a cluster: admin.conf is what is left.
rm -f {{ path.kubernetes }}/super-admin.conf
kubectl --kubeconfig {{ path.admin }} --namespace {{ namespaces.system }} create configmap {{ configmap.record }} \
{% for item in cluster_record %}
    --from-literal={{ (item.name ~ "=" ~ item.value) | quote }} \
{% endfor %}
    --dry-run=client --output yaml | kubectl --kubeconfig {{ path.admin }} {{ kubectl.apply }} > /dev/null
output token "$token"
{% include "kubernetes/output-ca.sh" %}
