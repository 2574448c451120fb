systemctl restart kubelet
# A unit that is active may fail a second later: what counts is what kubelet says of itself.
await 90 "kubelet to be healthy" kubectl --server http://127.0.0.1:{{ port.kubelet_health }} get --raw /healthz
{% if not alone %}
{% include "kubernetes/upgraded.sh" %}
{% endif %}
