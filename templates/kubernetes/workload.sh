workload() {
    kubectl --namespace {{ namespaces.films }} --request-timeout 20s "$@"
}
# What pods wait for, in their own words and the cluster's.
why() {
    workload get pods --output wide
    workload get events --field-selector type=Warning --sort-by .lastTimestamp --no-headers \
        --output 'custom-columns=WHAT:.involvedObject.name,WHY:.message' | tail -n 8
    workload logs job/{{ films.mark }} --tail 5
}
marked() { [ "$(workload get job {{ films.mark }} --output 'jsonpath={.status.succeeded}')" = 1 ]; }
runs() { workload rollout status deployment "$1" --timeout 2s; }
# A Job can't be changed; this one does its work again.
workload delete job {{ films.mark }} --ignore-not-found > /dev/null
head -c {{ manifest.size }} | kubectl {{ kubectl.apply }} > /dev/null
# Made once, so that links that people have kept stay good: `create` never replaces. From stdin to stdin: no file, no argument.
if ! workload get secret {{ films.page_token }} --output name > /dev/null 2>&1; then
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' |
        workload create secret generic {{ films.page_token }} --from-file=token=/dev/stdin > /dev/null
fi
# Where an earlier hostler kept the token of the only media server.
workload delete secret media-server --ignore-not-found > /dev/null
trap 'why >&2' EXIT
await 180 "both shares to be there and to get their marks" marked
await 120 "the watcher of films to run" runs watcher
await 120 "the status page to run" runs page
trap - EXIT
# A changed ConfigMap reaches a pod only when kubelet looks at the pod again: a minute or two later, or now that something of it has changed.
workload annotate pods --selector app=watcher --overwrite "hostler/applied=$run" > /dev/null || :
{% for item in record %}
remember {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
