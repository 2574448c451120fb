# One pod a machine; each is ready when it found all others by name and reached them, directly and through a Service. They are made before
# the nodes are Ready, so that each begins as soon as its machine has a network.
cleanup() { kubectl delete namespace {{ namespaces.probe }} --ignore-not-found --wait=false > /dev/null 2>&1 || true; }
gone() { [ -z "$(kubectl get namespace {{ namespaces.probe }} --ignore-not-found --output name || echo unknown)" ]; }
gone || {
    cleanup
    await 120 "the probe of an earlier run to go" gone
}
await 60 "nodes to register" kubectl get nodes {{ nodes | words }}
trap cleanup EXIT
head -c {{ manifest.size }} | kubectl {{ kubectl.apply }} > /dev/null
# It watches: to ask again and again costs a machine that has more to do.
announce 300 "nodes to be Ready"
await 300 "nodes to be Ready" kubectl wait node {{ nodes | words }} --for condition=Ready --timeout 30s
{% if spread_dns %}
# kubeadm's two CoreDNS pods may both have begun on the first machine, and would die with it. One goes, and comes back on another: the
# Deployment prefers that. The other answers meanwhile.
pods=$(kubectl --namespace {{ namespaces.system }} get pods --selector k8s-app=kube-dns --output 'jsonpath={range .items[*]}{.spec.nodeName} {.metadata.name}{"\n"}{end}')
last=$(printf '%s\n' "$pods" | awk 'NF == 2 { count++; last = $2; if (!($1 in seen)) { seen[$1]; machines++ } } END { if (count > 1 && machines == 1) print last }')
[ -z "$last" ] || kubectl --namespace {{ namespaces.system }} delete pod "$last" --wait=false > /dev/null
{% endif %}
announce 240 "CoreDNS and the pods of all machines to answer each other"
if ! kubectl --namespace {{ namespaces.probe }} rollout status daemonset probe --timeout 240s > /dev/null 2>&1; then
    kubectl --namespace {{ namespaces.probe }} get pods --output wide >&2
    kubectl --namespace {{ namespaces.probe }} logs --selector app=probe --tail 3 --prefix >&2 || true
    kubectl --namespace {{ namespaces.system }} get pods --selector k8s-app=kube-dns --output wide >&2
    fail "the probe pods did not find each other within 4 minutes"
fi
