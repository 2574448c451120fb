# Raw: kubectl would first look up what the API server has, and keep that in a file.
{{ path.bin }}/kubectl --kubeconfig {{ path.admin }} --request-timeout 5s get --raw /api/v1/namespaces/{{ namespaces.films }}/secrets/{{ films.page_token }}
