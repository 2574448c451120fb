# Each secret goes from stdin to stdin, one after the other: no file, no argument.
{% for secret in secrets %}
head -c {{ secret.size }} | tr -d '\r\n' |
    kubectl --namespace {{ namespaces.films }} create secret generic {{ secret.name }} --from-file={{ secret.key }}=/dev/stdin --dry-run=client --output yaml |
    kubectl {{ kubectl.apply }} > /dev/null
{% endfor %}
{% if gone %}
kubectl --namespace {{ namespaces.films }} delete secret {{ gone | words }} --ignore-not-found > /dev/null
{% endif %}
{% if sha256 %}
remember {{ recorded.workload_token }} {{ sha256 }}
{% else %}
forget {{ recorded.workload_token }}
{% endif %}
