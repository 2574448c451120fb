{% for item in record %}
record {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
{% include "kubernetes/record-manifests.sh" %}
{% include "kubernetes/record-kubelet.sh" %}
