printf '%s\n' {{ patch | quote }} |
    kubectl --namespace {{ namespaces.system }} patch configmap {{ configmap.record }} --patch-file /dev/stdin > /dev/null
