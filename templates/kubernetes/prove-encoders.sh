node={{ node | quote }}
pod={{ films.prove }}$node
workload() {
    kubectl --namespace {{ namespaces.films }} --request-timeout 20s "$@"
}
phase() { workload get pod "$pod" --output 'jsonpath={.status.phase}'; }
ended() { case $(phase) in Succeeded | Failed) ;; *) return 1 ;; esac; }
why() {
    workload get pod "$pod" --output wide
    workload get events --field-selector "involvedObject.name=$pod,type=Warning" --no-headers --output 'custom-columns=WHY:.message' | tail -n 4
    workload logs "$pod" --container encoder --tail 5
}
failed() {
    why >&2 || :
    lost "$1"
}
# A pod can't be changed; what an interrupted run left goes.
kubectl --namespace {{ namespaces.films }} delete pod "$pod" --ignore-not-found --wait --timeout 60s > /dev/null
head -c {{ manifest.size }} | kubectl {{ kubectl.apply }} > /dev/null
trap 'failed $?' EXIT
await 600 "the encoders of $node to be tried" ended
# What it logs comes by another stream, before this line or after it.
works=$(workload logs "$pod" --container encoder --tail 50 | grep '^{{ films.working }} ' | tail -n 1)
[ -n "$works" ] || fail "no encoder could be tried on $node"
trap 'lost $?' EXIT
works=${works#"{{ films.working }} "}
# A label takes these alone.
case $works in *[!A-Za-z0-9_.]*) fail "$node: encoders have other names" ;; esac
kubectl label --overwrite node "$node" {{ label.encoders }}="$works" {{ label.tried_with }}={{ tried_with | quote }} > /dev/null
workload delete pod "$pod" --wait=false > /dev/null
