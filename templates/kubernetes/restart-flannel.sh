# flanneld writes what it has to its node only when it begins. Its DaemonSet makes another pod at once.
kubectl --namespace {{ namespaces.flannel }} delete pod --selector app=flannel --field-selector spec.nodeName={{ node }} --wait=false > /dev/null
