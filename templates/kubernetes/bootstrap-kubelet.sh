# kubelet's client certificate has ended or is gone, with all else in place: it gets another one, as it got its first, and pods go on meanwhile.
PATH={{ path.bin }}:$PATH
node={{ node | quote }}
bootstrap={{ path.bootstrap_kubeconfig }}
take "$bootstrap" 600 {{ config.size }} {{ config.sha256 }}
# The token is of use for an hour; whatever happens, it does not stay here.
trap 'rm -f "$bootstrap"' EXIT
take {{ path.pki }}/ca.crt 644 {{ ca.size }} {{ ca.sha256 }}
{% if serving %}
# kubelet does not start with half a file; without one, it asks for another certificate.
rm -f {{ path.kubelet_pki }}/kubelet-server-current.pem
{% endif %}
# A kubelet that starts with a kubeconfig that is of no use takes this one, asks for a certificate, and writes its kubeconfig anew.
systemctl restart kubelet
speaks() { kubectl --kubeconfig {{ path.kubelet_kubeconfig }} --request-timeout 10s get node "$node" --output name; }
await 240 "the cluster to sign kubelet's certificate" speaks
await 90 "kubelet to be healthy" kubectl --server http://127.0.0.1:{{ port.kubelet_health }} get --raw /healthz
