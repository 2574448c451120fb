# The API server denies admin.conf what it may. The cluster's own CA signs a kubeconfig that needs no role, for this step alone.
PATH={{ path.bin }}:$PATH
config={{ path.phase_config }}.$$
folder=$(mktemp -d {{ path.own_admin }}.XXXXXX)
trap 'rm -rf "$config" "$folder"' EXIT
take "$config" 600 {{ config.size }} {{ config.sha256 }}
kubeadm init phase kubeconfig super-admin --config "$config" --kubeconfig-dir "$folder" > /dev/null
# A binding that refers to another role is deleted and made again: it can't be changed.
head -c {{ manifest.size }} |
    kubectl {{ kubectl.own }} --kubeconfig "$folder/super-admin.conf" auth reconcile --remove-extra-subjects --filename - > /dev/null
allowed() { kubectl {{ kubectl.own }} --request-timeout 5s get --raw "/api/v1/namespaces/{{ namespaces.system }}/configmaps?limit=1"; }
await 60 "the API server to grant admin.conf access" allowed
