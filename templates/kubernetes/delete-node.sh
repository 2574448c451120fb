kubectl delete node {{ node | quote }} --ignore-not-found > /dev/null
kubectl --namespace kube-system patch configmap hostler --type merge --patch '{"data":{"{{ name }}":null}}' > /dev/null 2>&1 || true
