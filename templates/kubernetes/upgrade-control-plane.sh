# Of this step alone: others may run beside it.
config={{ path.phase_config }}.$$
trap '{% if yields_vip %}systemctl start {{ systemd.vip }}; {% endif %}rm -rf "$admin" "$config" {{ path.patches }}' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
take {{ path.coredns_patch }} 600 {{ coredns.size }} {{ coredns.sha256 }}
{% include "kubernetes/keep-before-upgrade.sh" %}
# Of the new set, which is in use only once its kubelet is.
sets={{ path.sets }}
PATH=$sets/{{ set }}/bin:$PATH
record {{ mark.upgrade }} "$run"
{% if yields_vip %}
# The endpoint's address goes to another machine before this one's API server does: whoever asks there is not cut off. However the script ends,
# this machine may have it again; one that loses its power has it again when it starts.
systemctl stop {{ systemd.vip }}
{% endif %}
announce 1500 "kubeadm to upgrade the static pods (the API server of this machine is unavailable in the meantime)"
{% if first %}
aloud kubeadm --kubeconfig "$admin" upgrade apply --config "$config"
{% else %}
aloud kubeadm --kubeconfig "$admin" upgrade node --config "$config"
{% endif %}
await 240 "the API server to answer" kubectl get --raw /readyz
{% if sha256 %}
{% if first %}
remember {{ recorded.cluster }} {{ sha256 }}
{% endif %}
record {{ recorded.cluster }} {{ sha256 }}
{% endif %}
# What kubeadm left as it was keeps its record, too: it may have been changed by someone else before.
{% set kept = path.before_upgrade ~ "/manifests" %}
{% include "kubernetes/record-manifests.sh" %}
cmp -s "{{ path.before_upgrade }}/$(basename {{ path.kubelet_flags }})" {{ path.kubelet_flags }} ||
    record {{ recorded.kubelet_flags }} "$(cat {{ path.kubelet_flags }})"
record {{ recorded.kubelet_file }} "$(sha256sum < {{ path.kubelet_config }} | cut -d ' ' -f 1)"
rm -f {{ path.applied }}/{{ mark.upgrade }}
