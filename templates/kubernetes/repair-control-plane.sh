# Files of a control plane are missing. Each phase of kubeadm makes what is not there from the cluster's own keys, and leaves what is.
PATH={{ path.bin }}:$PATH
await_containerd
# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trap 'rm -f "$config"' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
set -- {{ trusted | words }}
for file; do
    [ -e "$file" ] || fail "$file is missing: restore it from a backup, a snapshot or another control plane"
done
lacks() { [ ! -e "$1" ]; }
{% if damaged %}
# What is truncated is as good as missing.
rm -f {{ damaged | words }}
{% endif %}
{% if expired %}
# The cluster's own CA signs them anew. What runs has read the old ones, and begins again.
kubeadm certs renew all --config "$config" > /dev/null
{% if kubelet_expired %}
rm -f {{ path.kubelet_kubeconfig }} {{ path.kubelet_pki }}/kubelet-client-current.pem
{% endif %}
for pod in $(crictl pods --quiet --state ready --label tier=control-plane); do crictl stopp "$pod" > /dev/null || :; done
{% endif %}
kubeadm init phase certs all --config "$config" > /dev/null
# A kubelet whose certificate is gone gets a kubeconfig with a new one in it.
if grep -q kubelet-client-current.pem {{ path.kubelet_kubeconfig }} 2> /dev/null && lacks {{ path.kubelet_pki }}/kubelet-client-current.pem; then
    rm -f {{ path.kubelet_kubeconfig }} {{ path.kubelet_pki }}/kubelet-client-current.pem
fi
# Not `all`: super-admin.conf, which no role limits, stays on no machine.
for name in admin kubelet controller-manager scheduler; do kubeadm init phase kubeconfig "$name" --config "$config" > /dev/null; done
{% if missing_manifests %}
set -- {{ missing_manifests | words }}
for name; do
    case $name in
    etcd) kubeadm init phase etcd local --config "$config" > /dev/null ;;
    kube-*) kubeadm init phase control-plane "${name#kube-}" --config "$config" > /dev/null ;;
    esac
done
{% set static_pods = missing_manifests %}
{% include "kubernetes/record-manifests.sh" %}
{% endif %}
if lacks {{ path.kubelet_config }} || lacks {{ path.kubelet_flags }}; then
    kubeadm init phase kubelet-start --config "$config" > /dev/null
{% include "kubernetes/record-kubelet.sh" %}
fi
systemctl restart kubelet
own() { kubectl {{ kubectl.own }} --request-timeout 10s "$@"; }
await 300 "the API server to answer" own get --raw /readyz
# While it did not, these two asked for it at longer and longer intervals, up to a minute, and nothing is scheduled meanwhile: they begin anew.
# What they held before is theirs again at once, and not only when it has run out.
for name in kube-controller-manager kube-scheduler; do
    for pod in $(crictl pods --quiet --state ready --label component="$name"); do crictl stopp "$pod" > /dev/null || :; done
    holder=$(own --namespace {{ namespaces.system }} get lease "$name" --ignore-not-found --output 'jsonpath={.spec.holderIdentity}') || holder=
    case $holder in
    "$(hostname)"_*) own --namespace {{ namespaces.system }} delete lease "$name" --ignore-not-found > /dev/null || : ;;
    esac
done
# Whatever was verified before was verified with what has gone since.
own --namespace {{ namespaces.system }} patch configmap {{ configmap.record }} --type merge \
    --patch '{"data":{"{{ recorded.verified }}":null}}' > /dev/null
