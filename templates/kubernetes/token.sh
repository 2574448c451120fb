token=$(local_kubeadm token create --ttl 1h --description "made by hostler for one run") ||
    temporary "the API server to answer"
output token "$token"
output ca "$(base64 -w 0 < /etc/kubernetes/pki/ca.crt)"
