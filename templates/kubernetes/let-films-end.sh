node={{ node | quote }}
there=$(kubectl get node "$node" --ignore-not-found --output name)
[ -n "$there" ] || exit 0
{% include "kubernetes/cordon.sh" %}

# Not to know of films is not to know that there are none.
pods=$(kubectl --namespace {{ namespaces.films }} get pods --selector transcode=encode --field-selector "spec.nodeName=$node" \
    --output 'jsonpath={range .items[*]}{.status.phase}{"\n"}{end}') || temporary "the API server to list films"
running=$(printf '%s\n' "$pods" | grep -c -e Running -e Pending) || :
# The status page knows how long, where HandBrake has said so.
left=$(kubectl --request-timeout 5s get --raw {{ films.page }}/api/status 2> /dev/null | tr '{}' '\n' | grep -F "\"machine\":\"$node\"" |
    sed -n 's/.*"left":"\([^"]*\)".*/\1/p' | head -n 1) || left=
[ "$running" = 0 ] || temporary "the film that is being encoded on $node${left:+, $left left} (--now does not wait)"
