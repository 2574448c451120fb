token=$(local_kubeadm token create --ttl {{ lives.token }} --description "made by hostler for one run") ||
    temporary "the API server to answer"
output token "$token"
{% include "kubernetes/output-ca.sh" %}
