# The token goes from stdin to stdin: no file, no argument.
head -c {{ size }} | tr -d '\r\n' |
    kubectl --namespace {{ namespaces.films }} create secret generic {{ films.media_server }} --from-file=token=/dev/stdin --dry-run=client --output yaml |
    kubectl {{ kubectl.apply }} > /dev/null
remember {{ recorded.workload_token }} {{ sha256 }}
