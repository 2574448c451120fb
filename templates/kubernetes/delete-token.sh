# The first line of the payload is the token; only its first half, which is no secret, is needed to delete it.
PATH=/opt/hostler/current/bin:$PATH
IFS= read -r token
kubeadm --kubeconfig /etc/kubernetes/admin.conf token delete "${token%%.*}" > /dev/null || temporary "the API server to answer"
