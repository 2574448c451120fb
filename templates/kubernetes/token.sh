PATH=/opt/hostler/current/bin:$PATH
token=$(kubeadm --kubeconfig /etc/kubernetes/admin.conf token create --ttl 1h --description "made by hostler for one run") ||
    temporary "the API server to answer"
output token "$token"
output ca "$(base64 -w 0 < /etc/kubernetes/pki/ca.crt)"
