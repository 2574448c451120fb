# A control plane is what it was before its upgrade. kubelet is stopped while its manifests change: it begins with all of them.
kept={{ path.before_upgrade }}
sets={{ path.sets }}
PATH=$sets/{{ set }}/bin:$PATH
await_containerd
record {{ mark.upgrade }} "$run"
etcd() { etcdctl --endpoints {{ etcdctl.own }} {{ etcdctl.tls }} --command-timeout 10s "$@" > /dev/null 2>&1; }
{% if etcd %}
# The only member: its data is what was kept. Kubelets and controllers have seen revisions that it knows nothing of; all that comes now is newer.
data={{ path.etcd }}
rm -rf "$data/hostler-new"
status=$(etcdutl snapshot status "$kept/{{ archive.etcd }}")
bump=$((($(date +%s) - 1577836800) * 1000 - $(echo "$status" | cut -d , -f 2)))
[ "$bump" -gt 1000000000 ] || bump=1000000000
aloud etcdutl snapshot restore "$kept/{{ archive.etcd }}" --bump-revision "$bump" --mark-compacted --data-dir "$data/hostler-new" \
    --name {{ node | quote }} --initial-cluster {{ (node ~ "=" ~ peer) | quote }} --initial-advertise-peer-urls {{ peer | quote }}
{% else %}
# Where its own member is well, another one may have gone since the plan was made.
! etcd endpoint health || etcd endpoint health --cluster ||
    fail "not all etcd members are healthy: without this one, etcd could lose its quorum"
{% endif %}
{% if yields_vip %}
{% include "kubernetes/yield-vip.sh" %}
{% endif %}
announce 300 "the static pods to restart (the API server of this machine is unavailable in the meantime)"
systemctl stop kubelet
{% if etcd %}
for pod in $(crictl pods --quiet --label tier=control-plane); do
    crictl stopp "$pod" > /dev/null || :
    crictl rmp --force "$pod" > /dev/null || :
done
# Where this is cut, the next run restores once more: what the new version wrote goes last.
if [ -e "$data/member" ]; then
    rm -rf "$data/hostler-old"
    mv "$data/member" "$data/hostler-old"
fi
mv "$data/hostler-new/member" "$data/member"
rm -rf "$data/hostler-new"
{% endif %}
for name in {{ static_pods | words }}; do
    # kubelet reads no file there that begins with a dot.
    cp -p "$kept/manifests/$name.yaml" "{{ path.manifests }}/.$name.hostler-new"
    mv -f "{{ path.manifests }}/.$name.hostler-new" "{{ path.manifests }}/$name.yaml"
done
{% include "kubernetes/put-back-kubelet.sh" %}
systemctl start kubelet
{% include "kubernetes/upgraded.sh" %}
await 120 "etcd to be healthy" etcd endpoint health
{% if etcd %}
# What held these leases is gone, and would be waited for.
kubectl {{ kubectl.own }} --namespace {{ namespaces.system }} delete lease kube-controller-manager kube-scheduler --ignore-not-found > /dev/null
# What was verified then is not what is here now.
kubectl {{ kubectl.own }} --namespace {{ namespaces.system }} patch configmap {{ configmap.record }} --type merge \
    --patch '{"data":{"{{ recorded.verified }}":null}}' > /dev/null
rm -rf "$data/hostler-old"
{% endif %}
for name in {{ applied | words }}; do
    [ ! -e "$kept/applied/$name" ] || record "$name" "$(cat "$kept/applied/$name")"
done
: > "$kept/back"
rm -f {{ path.applied }}/{{ mark.upgrade }}
