# CoreDNS as kubeadm makes it. A ConfigMap that is there keeps its Corefile, which may be a person's.
# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trap 'rm -rf "$config" {{ path.patches }}' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
take {{ path.coredns_patch }} 600 {{ coredns.size }} {{ coredns.sha256 }}
# The address of a Service can't be changed.
address=$(kubectl --namespace {{ namespaces.system }} get service kube-dns --ignore-not-found --output 'jsonpath={.spec.clusterIP}')
[ -z "$address" ] || [ "$address" = {{ address | quote }} ] || {
    other=$(kubectl get services --all-namespaces --output 'jsonpath={range .items[*]}{.spec.clusterIP}{" "}{.metadata.namespace}/{.metadata.name}{"\n"}{end}' |
        sed -n {{ ("s|^" ~ address ~ " ||p") | quote }})
    [ -z "$other" ] || fail "the Service $other has the address of the cluster's DNS, {{ address }}: delete it, then run this again"
    kubectl --namespace {{ namespaces.system }} delete service kube-dns > /dev/null
}
kubeadm init phase addon coredns --config "$config" > /dev/null
# kubeadm keeps the number of pods that there are to be.
replicas=$(kubectl --namespace {{ namespaces.system }} get deployment coredns --output 'jsonpath={.spec.replicas}')
[ "$replicas" != 0 ] || kubectl --namespace {{ namespaces.system }} scale deployment coredns --replicas 2 > /dev/null
