# Each token goes from stdin to stdin, one after the other: no file, no argument.
{% for token in tokens %}
head -c {{ token.size }} | tr -d '\r\n' |
    kubectl --namespace {{ namespaces.films }} create secret generic {{ films.media_server }}{{ token.of }} --from-file=token=/dev/stdin --dry-run=client --output yaml |
    kubectl {{ kubectl.apply }} > /dev/null
{% endfor %}
remember {{ recorded.workload_token }} {{ sha256 }}
