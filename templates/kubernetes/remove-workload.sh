# Claims are let go before their volumes, which only say where the shares are: what is on the shares is nobody's concern here.
kubectl delete namespace transcode --ignore-not-found --wait --timeout 240s > /dev/null
kubectl delete clusterrolebinding,clusterrole hostler-transcode-watcher --ignore-not-found > /dev/null
kubectl delete persistentvolume hostler-transcode-inbox hostler-transcode-library --ignore-not-found --wait --timeout 60s > /dev/null
for name in {{ names | words }}; do
    forget "$name"
done
