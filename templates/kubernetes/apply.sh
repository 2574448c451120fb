# Applying a manifest takes nothing away that somebody added: a DaemonSet that selects no machine for that is made anew.
[ "$(kubectl --namespace {{ namespaces.flannel }} get daemonset kube-flannel-ds --ignore-not-found --output 'jsonpath={.status.desiredNumberScheduled}')" != 0 ] ||
    kubectl --namespace {{ namespaces.flannel }} delete daemonset kube-flannel-ds > /dev/null
head -c {{ manifest.size }} |
    kubectl {{ kubectl.apply }} > /dev/null
remember {{ name | quote }} {{ sha256 }}
