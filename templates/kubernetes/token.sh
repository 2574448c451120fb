# What machines may know of the cluster before they join: kubeadm makes it with the cluster, and the controller manager signs it with each token.
public() { kubectl {{ kubectl.own }} --namespace kube-public "$@"; }
signer=kubeadm:bootstrap-signer-clusterinfo
if [ -z "$(public get configmap cluster-info --ignore-not-found --output name)" ]; then
    endpoint=$(kubectl config view --kubeconfig {{ path.admin }} --output 'jsonpath={.clusters[0].cluster.server}')
    kubectl config --kubeconfig "$admin.info" set-cluster kubernetes --embed-certs --certificate-authority {{ path.pki }}/ca.crt \
        --server "$endpoint" > /dev/null
    # kubeadm looks for a cluster without a name, which kubectl does not make.
    sed -i 's/^\(  name:\) kubernetes$/\1 ""/' "$admin.info"
    public create configmap cluster-info --from-file kubeconfig="$admin.info" > /dev/null
fi
[ -n "$(public get role "$signer" --ignore-not-found --output name)" ] ||
    public create role "$signer" --verb get --resource configmaps --resource-name cluster-info > /dev/null
[ -n "$(public get rolebinding "$signer" --ignore-not-found --output name)" ] ||
    public create rolebinding "$signer" --role "$signer" --user system:anonymous > /dev/null
token=$(local_kubeadm token create --ttl {{ lives.token }} --description "made by hostler for one run") ||
    temporary "the API server to answer"
output token "$token"
{% include "kubernetes/output-ca.sh" %}
