# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trap 'rm -f "$config"' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
sums() { sha256sum {{ path.manifests }}/*.yaml; }
before=$(sums)
# kubeadm leaves a certificate that is there, whatever names the document has now. The server takes a new one by itself; if this is cut here,
# what is missing is repaired.
rm -f {{ path.pki }}/apiserver.crt {{ path.pki }}/apiserver.key
kubeadm init phase certs apiserver --config "$config" > /dev/null
kubeadm init phase control-plane all --config "$config" > /dev/null
{% if etcd %}
kubeadm init phase etcd local --config "$config" > /dev/null
{% endif %}
# kubelet may not have noticed yet, and would still want the pods of before: when it starts it reads all manifests.
[ "$before" = "$(sums)" ] || systemctl restart kubelet
{% include "kubernetes/static-pods-run.sh" %}
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
