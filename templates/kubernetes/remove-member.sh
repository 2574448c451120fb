# By ID, and only if it is there; afterwards the list is looked at again, as a removal can fail silently.
PATH={{ path.bin }}:$PATH
peer={{ peer | quote }}
members() {
    etcdctl --endpoints {{ etcdctl.own }} {{ etcdctl.tls }} "$@"
}
id_of_peer() { members member list | awk -F ', ' -v peer="$peer" '$4 == peer { print $1 }'; }
list=$(members member list) || temporary "etcd to answer"
id=$(printf '%s\n' "$list" | awk -F ', ' -v peer="$peer" '$4 == peer { print $1 }')
[ -n "$id" ] || exit 0
members member remove "$id" > /dev/null || temporary "etcd to let {{ node }} go"
[ -z "$(id_of_peer)" ] || fail "etcd still lists {{ node }} ($id)"
