{% include "kubernetes/films.sh" %}
{% include "kubernetes/forbidden.sh" %}
# What pods wait for, in their own words and the cluster's, in one line.
why() {
    {
        workload logs job/{{ films.mark }} --tail 1
        workload get events --field-selector type=Warning --sort-by .lastTimestamp \
            --output 'jsonpath={range .items[*]}{.involvedObject.name}{": "}{.message}{"\n"}{end}' | tail -n 3
        workload get pods --output \
            'jsonpath={range .items[*]}{.metadata.name}{" on "}{.spec.nodeName}{": "}{.status.containerStatuses[0].state.waiting.reason}{"\n"}{end}' |
            grep -v ': $'
    } 2> /dev/null | cut -c 1-300 | tr '\n' ';'
}
# comes_up SECONDS WHAT KIND/NAME COMMAND...: as await, but says why where it is in vain. What refuses pods goes on refusing them, unless it
# counts some that are just going.
comes_up() {
    seconds=$1 what=$2 name=$3 began=$(date +%s)
    shift 3
    announce "$seconds" "$what"
    until "$@" > /dev/null 2>&1; do
        waited=$(($(date +%s) - began))
        why=
        [ "$waited" -lt 20 ] || why=$(forbidden {{ namespaces.films }} "$name") || why=
        [ -z "$why" ] || fail "pods of ${name#*/} can't be created: $why"
        [ "$waited" -lt "$seconds" ] || fail "timed out after $seconds s waiting for $what: $(why)"
        sleep 0.5
    done
}
marked() { [ "$(workload get job {{ films.mark }} --output 'jsonpath={.status.succeeded}')" = 1 ]; }
runs() { workload rollout status deployment "$1" --timeout 2s; }
# A Job can't be changed; this one does its work again.
workload delete job {{ films.mark }} --ignore-not-found > /dev/null
head -c {{ manifest.size }} | kubectl {{ kubectl.apply }} > /dev/null
{% if not quick_sync %}
kubectl delete runtimeclass {{ films.runtime }} --ignore-not-found > /dev/null
{% endif %}
# Made once, so that links that people have kept stay good: `create` never replaces. From stdin to stdin: no file, no argument.
if ! workload get secret {{ films.page_token }} --output name > /dev/null 2>&1; then
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' |
        workload create secret generic {{ films.page_token }} --from-file=token=/dev/stdin > /dev/null
fi
{% if not notifies %}
workload delete secret {{ films.notify }} --ignore-not-found > /dev/null
{% endif %}
# Where an earlier hostler kept the token of the only media server.
workload delete secret media-server --ignore-not-found > /dev/null
comes_up 180 "both shares to be mounted, and their marker files to be written" job/{{ films.mark }} marked
comes_up 120 "the film watcher to run" deployment/watcher runs watcher
comes_up 120 "the status page to run" deployment/page runs page
# A changed ConfigMap reaches a pod only when kubelet looks at the pod again: a minute or two later, or now that something of it has changed.
workload annotate pods --selector app=watcher --overwrite "hostler/applied=$run" > /dev/null || :
{% for item in record %}
remember {{ item.name | quote }} {{ item.value | quote }}
{% endfor %}
