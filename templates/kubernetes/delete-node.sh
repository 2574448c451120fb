kubectl delete node {{ node | quote }} --ignore-not-found > /dev/null
forget {{ (recorded.node ~ node) | quote }} 2> /dev/null || true
