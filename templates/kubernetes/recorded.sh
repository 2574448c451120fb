{% for item in record %}
record {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
record {{ recorded.kubelet_file }} "$(sha256sum < {{ path.kubelet_config }} | cut -d ' ' -f 1)"
