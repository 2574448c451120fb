# Nothing is rolled back any more.
{% include "kubernetes/drop-kept.sh" %}
drop_kept
rm -rf {{ path.kubernetes }}/tmp/kubeadm-*
