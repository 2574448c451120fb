output kubeconfig "$(base64 -w 0 < /etc/kubernetes/admin.conf)"
