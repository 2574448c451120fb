# By ID, found by name and peer URL together, and only if it is there; afterwards the list is looked at again, as a removal can fail silently.
PATH={{ path.bin }}:$PATH
member={{ member | quote }}
peer={{ peer | quote }}
members() {
    etcdctl --endpoints {{ etcdctl.own }} {{ etcdctl.tls }} "$@"
}
id_of() { member=$member peer=$peer awk -F ', ' '$3 == ENVIRON["member"] && $4 == ENVIRON["peer"] { print $1 }'; }
list=$(members member list) || temporary "etcd to answer"
id=$(printf '%s\n' "$list" | id_of)
[ -n "$id" ] || exit 0
said=$(members member remove "$id" 2>&1) ||
    temporary "etcd to remove member {{ node }}, which failed with: $(printf '%s\n' "$said" | tail -n 1 | sed 's/^Error: //' | cut -c 1-200)"
[ -z "$(members member list | id_of)" ] || fail "etcd still lists {{ node }} ($id)"
