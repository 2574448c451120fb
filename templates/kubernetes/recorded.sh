{% for item in record %}
record {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
{% include "kubernetes/record-manifests.sh" %}
record {{ recorded.kubelet_file }} "$(sha256sum < {{ path.kubelet_config }} | cut -d ' ' -f 1)"
record {{ recorded.kubelet_flags }} "$(cat {{ path.kubelet_flags }})"
