# In the namespace of films.
workload() {
    kubectl --namespace {{ namespaces.films }} --request-timeout 20s "$@"
}
