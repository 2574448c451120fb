kubectl delete node {{ node | quote }} --ignore-not-found > /dev/null
forget {{ (recorded.node ~ node) | quote }} {{ (recorded.kubelet_address ~ node) | quote }} 2> /dev/null || true
