node={{ node | quote }}
pod={{ films.prove }}$node
{% include "kubernetes/films.sh" %}
phase() { workload get pod "$pod" --output 'jsonpath={.status.phase}'; }
ended() { case $(phase) in Succeeded | Failed) ;; *) return 1 ;; esac; }
# What it lacks, in one line.
why() {
    {
        workload logs "$pod" --container encoder --tail 1
        workload get events --field-selector "involvedObject.name=$pod,type=Warning" --sort-by .lastTimestamp \
            --output 'jsonpath={range .items[*]}{.message}{"\n"}{end}' | tail -n 2
    } 2> /dev/null | cut -c 1-300 | tr '\n' ';'
}
# A pod can't be changed; what an interrupted run left goes.
kubectl --namespace {{ namespaces.films }} delete pod "$pod" --ignore-not-found --wait --timeout 60s > /dev/null
head -c {{ manifest.size }} | kubectl {{ kubectl.apply }} > /dev/null
(await 600 "the encoders of $node to be tested" ended) || fail "the encoders of $node could not be tested: $(why)"
# What it logs comes by another stream, before this line or after it.
works=$(workload logs "$pod" --container encoder --tail 50 | grep '^{{ films.working }} ' | tail -n 1)
[ -n "$works" ] || fail "no encoder could be tested on $node: $(why)"
works=${works#"{{ films.working }} "}
# A label takes these alone.
case $works in *[!A-Za-z0-9_.]*) fail "the pod on $node reported encoders with unexpected names" ;; esac
kubectl label --overwrite node "$node" {{ label.encoders }}="$works" {{ label.tried_with }}={{ tried_with | quote }} > /dev/null
workload delete pod "$pod" --wait=false > /dev/null
