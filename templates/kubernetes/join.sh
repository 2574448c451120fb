PATH={{ path.bin }}:$PATH
await_containerd
config={{ path.join_config }}
trap 'rm -f "$config" "$config".*' EXIT
{% if again %}
[ -e {{ path.applied }}/{{ mark.join }} ] || fail "the interrupted join on this machine has been finished or cleaned up since its facts were gathered: run the command again"
kubeadm reset --force > /dev/null
{% endif %}
# Another hostler may have been faster: without a mark, nobody takes its work for a join that was cut.
[ ! -e {{ path.kubelet_kubeconfig }} ] || fail "the machine has joined a cluster since its facts were gathered: run the command again"
take "$config" 600 {{ config.size }} {{ config.sha256 }}
take "$config.ca" 600 {{ ca.size }} {{ ca.sha256 }}
record {{ mark.join }} "$run"
{% if pki %}
# The certificate authorities come through hostler's memory: no secret in the cluster, none on the user's disk.
mkdir -p {{ path.pki }}/etcd
head -c {{ pki.size }} | tar -xf - -C {{ path.pki }} --no-same-owner
{% endif %}
# It finds the cluster by what is public of it, which the controller manager signs with every token, a while after that was made. Where it
# has not yet, kubeadm looks again after 5 seconds: so it begins when it has. It checks all of it once more. Anybody may read this; the name
# is what kubectl would ask for, and is nobody's.
server=$(sed -n 's/^ *apiServerEndpoint: *//p' "$config" | tr -d "\"'")
token_id=$(sed -n 's/^ *token: *\([a-z0-9]*\)\..*/\1/p' "$config")
signed() {
    kubectl --kubeconfig /dev/null --server "https://$server" --certificate-authority "$config.ca" --username anyone --request-timeout 5s \
        get --raw /api/v1/namespaces/kube-public/configmaps/cluster-info | grep -q "jws-kubeconfig-$token_id"
}
{% include "step/silent.sh" %}
# The inventory may have it find the cluster by other means.
if [ -n "$server" ]; then
    host=${server%:*}
    host=${host#[}
    host=${host%]}
    # An address that moves may be between two machines.
    for attempt in 1 2 3; do
        why=$(silent "$host" "${server##*:}") || break
        [ "$attempt" -lt 3 ] || fail "$(hostname) can't reach the API server at $server: $why; a firewall in between may be blocking it"
    done
    (await 20 "the controller manager to sign the token" signed) || :
fi
joined=0
kubeadm join --config "$config" > "$config.said" 2>&1 || joined=$?
cat "$config.said" || :
if grep -q 'status "Ready" already exists' "$config.said"; then
    # Its kubelet of before is stopped, which the cluster learns after a while.
    kubeadm reset --force > /dev/null
    temporary "the cluster to notice that node $(hostname) has left"
fi
[ "$joined" = 0 ] || exit "$joined"
{% include "kubernetes/recorded.sh" %}
rm -f {{ path.applied }}/{{ mark.join }} {{ path.applied }}/{{ mark.reinstall }}
