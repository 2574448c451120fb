# What a rollback puts back, as it is before kubeadm's first change. What is there already is from before this upgrade was interrupted, unless it was
# rolled back, or is of an upgrade before (programs are in use that are neither those of then nor the new ones).
{% include "kubernetes/drop-kept.sh" %}
in_use=$(readlink {{ path.current }} | sed 's|^{{ path.current_begins }}||')
if [ -e "$kept" ] && [ ! -e {{ path.applied }}/{{ mark.upgrade }} ]; then
    if [ -e "$kept/back" ] || { [ "$(cat "$kept/set")" != "$in_use" ] && [ "$in_use" != {{ set | quote }} ]; }; then
        drop_kept
    fi
fi
if [ ! -e "$kept" ]; then
    drop_kept
    rm -rf "$kept.hostler-new"
    mkdir -p "$kept.hostler-new/manifests" "$kept.hostler-new/applied"
    chmod 700 {{ path.work }} "$kept.hostler-new"
    for name in {{ static_pods | words }}; do cp -p "{{ path.manifests }}/$name.yaml" "$kept.hostler-new/manifests"; done
    cp -p {{ path.kubelet_config }} {{ path.kubelet_flags }} "$kept.hostler-new"
    for name in {{ applied | words }}; do
        [ ! -e "{{ path.applied }}/$name" ] || cp -p "{{ path.applied }}/$name" "$kept.hostler-new/applied"
    done
{% if alone %}
    # What the new version writes, the old one may not be able to read, and no other member of etcd has what was there before.
    etcdctl --endpoints {{ etcdctl.own }} {{ etcdctl.tls }} --command-timeout 120s snapshot save "$kept.hostler-new/{{ archive.etcd }}" > /dev/null
{% endif %}
    echo "$in_use" > "$kept.hostler-new/set"
    sync -f "$kept.hostler-new"
    mv -T "$kept.hostler-new" "$kept"
fi
rm -f "$kept/back"
