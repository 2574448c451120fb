{% if replace %}
# Applying a manifest takes nothing away that somebody added: a DaemonSet that selects too few machines for that is made again.
kubectl --namespace {{ namespaces.flannel }} delete daemonset kube-flannel-ds --ignore-not-found > /dev/null
{% endif %}
head -c {{ manifest.size }} |
    kubectl {{ kubectl.apply }} > /dev/null
remember {{ name | quote }} {{ sha256 }}
