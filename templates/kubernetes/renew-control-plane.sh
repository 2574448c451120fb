# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trap 'rm -f "$config"' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
node={{ node | quote }}
pods="kube-apiserver kube-controller-manager kube-scheduler"
{% if etcd %}
pods="etcd $pods"
{% endif %}
hash_of() { kubectl --namespace {{ namespaces.system }} get pod "$1-$node" --output 'jsonpath={.metadata.annotations.kubernetes\.io/config\.hash}'; }
renewed() { now=$(hash_of "$1") && [ -n "$now" ] && [ "$now" != "$2" ]; }

for pod in $pods; do
    printf '%s %s %s\n' "$pod" "$(sha256sum < "{{ path.manifests }}/$pod.yaml" | cut -d ' ' -f 1)" "$(hash_of "$pod")"
done > "$config.before"
# kubeadm leaves a certificate that is there, whatever names the document has now. The server takes a new one by itself; if this is cut here,
# what is missing is repaired.
rm -f {{ path.pki }}/apiserver.crt {{ path.pki }}/apiserver.key
kubeadm init phase certs apiserver --config "$config" > /dev/null
kubeadm init phase control-plane all --config "$config" > /dev/null
{% if etcd %}
kubeadm init phase etcd local --config "$config" > /dev/null
{% endif %}
while read -r pod sum hash; do
    [ "$sum" = "$(sha256sum < "{{ path.manifests }}/$pod.yaml" | cut -d ' ' -f 1)" ] ||
        await 240 "kubelet to start $pod anew" renewed "$pod" "$hash"
done < "$config.before"
rm -f "$config.before"
await 240 "the API server to answer" kubectl get --raw /readyz
# What is on the disk is not yet what clients see. A wildcard is seen by a name that fits it.
set -- {{ names | words }}
for name; do
    case $name in
    \*.*) name=any.${name#\*.} ;;
    esac
    await 180 "the API server to present a certificate for $name" kubectl --tls-server-name "$name" get --raw /readyz
done
{% include "kubernetes/record-manifests.sh" %}
record {{ recorded.cluster }} {{ sha256 }}
