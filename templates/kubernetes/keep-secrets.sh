# Each secret goes from stdin to stdin, one after the other: no file, no argument.
{% for secret in secrets %}
head -c {{ secret.size }} | tr -d '\r\n' |
    kubectl --namespace {{ namespaces.films }} create secret generic {{ secret.name }} --from-file={{ secret.key }}=/dev/stdin --dry-run=client --output yaml |
    kubectl {{ kubectl.apply }} > /dev/null
{% endfor %}
remember {{ recorded.workload_token }} {{ sha256 }}
