# The ConfigMap last: by it the next run sees what is left.
kubectl --namespace {{ namespaces.system }} delete lease {{ configmap.notify }} --ignore-not-found > /dev/null
kubectl --namespace {{ namespaces.system }} delete configmap {{ configmap.notify }} --ignore-not-found > /dev/null
