# For the first minutes of a cluster: admin.conf is what is left.
rm -f {{ path.kubernetes }}/super-admin.conf
kubectl --kubeconfig {{ path.admin }} {{ kubectl.apply }} > /dev/null << 'END'
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ configmap.record }}
  namespace: {{ namespaces.system }}
data:
{% for item in cluster_record %}
  {{ item.name | tojson }}: {{ item.value | tojson }}
{% endfor %}
END
output token "$token"
{% include "kubernetes/output-ca.sh" %}
