# Nothing is rolled back any more.
rm -rf {{ path.before_upgrade }} {{ path.kubernetes }}/tmp/kubeadm-*
