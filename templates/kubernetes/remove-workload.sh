# Claims are let go before their volumes, which only say where the shares are: what is on the shares is nobody's concern here.
kubectl delete namespace {{ namespaces.films }} --ignore-not-found --wait --timeout 240s > /dev/null
kubectl delete clusterrolebinding,clusterrole {{ films.cluster_role }} --ignore-not-found > /dev/null
kubectl delete runtimeclass {{ films.runtime }} --ignore-not-found > /dev/null
kubectl delete persistentvolume {{ films.volume }}inbox {{ films.volume }}library --ignore-not-found --wait --timeout 60s > /dev/null
for name in {{ recorded.workload }} {{ recorded.workload_shares }} {{ recorded.workload_token }}; do
    forget "$name"
done
