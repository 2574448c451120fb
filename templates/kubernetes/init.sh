PATH={{ path.bin }}:$PATH
await_containerd
config={{ path.init_config }}
trap 'rm -rf "$config" "$config".* {{ path.patches }}' EXIT
{% if again %}
# The mark below was set, but never what follows success: nobody can have joined yet.
[ -e {{ path.applied }}/{{ mark.init }} ] || fail "the interrupted init on this machine has been finished or cleaned up since its facts were gathered: run the command again"
kubeadm reset --force > /dev/null
rm -rf {{ path.flannel_cni }}
{% endif %}
[ ! -e {{ path.kubelet_kubeconfig }} ] || fail "the machine has joined a cluster since its facts were gathered: run the command again"
{% include "kubernetes/init-config.sh" %}
record {{ mark.init }} "$run"
aloud kubeadm init --config "$config" --skip-token-print --skip-certificate-key-print
{% include "kubernetes/recorded.sh" %}
rm -f {{ path.applied }}/{{ mark.init }} {{ path.applied }}/{{ mark.reinstall }}
{% include "kubernetes/first.sh" %}
