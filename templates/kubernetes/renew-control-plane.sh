# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trial={{ path.work }}/etcd.$$
trap 'rm -rf "$config" "$trial"' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
{% include "kubernetes/static-pods.sh" %}
sums() { sha256sum {{ path.manifests }}/*.yaml; }
before=$(sums)
known=$(wanted_pods) || known=
# kubeadm leaves a certificate that is there, whatever names the document has now. The server takes a new one by itself; if this is cut here,
# what is missing is repaired.
rm -f {{ path.pki }}/apiserver.crt {{ path.pki }}/apiserver.key
kubeadm init phase certs apiserver --config "$config" > /dev/null
kubeadm init phase control-plane all --config "$config" > /dev/null
# etcd is restarted only for what is its own in the document. How its first members are found is of no use to it once it has data, and kubeadm
# writes that differently where a member joins.
own() { grep -v -e '--initial-cluster' "$1" || :; }
mkdir -p "$trial"
KUBEADM_INIT_DRYRUN_DIR=$trial kubeadm init phase etcd local --dry-run --config "$config" > /dev/null
changed={{ "yes" if etcd else "" }}
if [ -n "$changed" ] || [ "$(own "$trial/etcd.yaml")" != "$(own {{ path.manifests }}/etcd.yaml)" ]; then
    # Without its data it would not come back as a member, but begin a cluster of its own.
    [ -d {{ path.etcd }}/member ] || fail "etcd has no data on this machine, so its manifest is not written"
    kubeadm init phase etcd local --config "$config" > /dev/null
fi
# kubelet looks at its manifests at least every 20 s. One that never noticed what someone changed has nothing to notice now.
written=$(sums | grep -vxFc "$before") || written=0
noticed() { [ "$(wanted_pods | grep -vxFc "${known:-none}")" -ge "$written" ]; }
[ "$written" = 0 ] || (await 45 "kubelet to read its manifests" noticed) || :
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
