# What a kubeconfig of the person `user` needs: the cluster's CA, and whether they have access.
set -eu
export KUBECACHEDIR={{ path.kubectl_cache }}
[ -e {{ path.pki }}/ca.crt ] || {
    echo "this is not a control plane: there is no {{ path.pki }}/ca.crt" >&2
    exit 1
}
printf 'ca %s\n' "$(base64 -w 0 {{ path.pki }}/ca.crt)"
{{ path.bin }}/kubectl {{ kubectl.own }} --request-timeout 20s get clusterrolebinding {{ user | quote }} --ignore-not-found --output name
