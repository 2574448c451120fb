{% include "kubernetes/static-pods.sh" %}
{% include "kubernetes/static-pods-run.sh" %}
# Copies that kubeadm made of what it replaced: manifests, kubelet's configuration, etcd's data.
rm -rf {{ path.kubernetes }}/tmp/kubeadm-*
