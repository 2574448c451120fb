# etcd refuses every write once its database has reached its quota, until somebody makes room and takes the alarm back.
etcd() {
    endpoint=$1
    shift
    etcdctl --endpoints "$endpoint" {{ etcdctl.tls }} --command-timeout 120s "$@"
}
number() { grep -o "\"$1\":[0-9]*" | grep -o '[0-9]*$' | sort -n | tail -n 1; }
status=$(etcd {{ etcdctl.own }} endpoint status --write-out json)
before=$(printf '%s\n' "$status" | number dbSize)
# The API server does so every five minutes: what it has compacted already is no failure.
etcd {{ etcdctl.own }} compact "$(printf '%s\n' "$status" | number revision)" > /dev/null 2>&1 || :
members=$(etcd {{ etcdctl.own }} member list --write-out json | grep -o '"clientURLs":\["[^"]*"' | cut -d '"' -f 4)
# One after the other: a member does not answer meanwhile. One that is away needs no room now, and keeps none from the others.
for member in $members; do etcd "$member" defrag > /dev/null || echo "the member at $member does not answer, so its database is as large as before"; done
etcd {{ etcdctl.own }} alarm disarm > /dev/null
status=$(etcd {{ etcdctl.own }} endpoint status --write-out json)
after=$(printf '%s\n' "$status" | number dbSize)
used=$(printf '%s\n' "$status" | number dbSizeInUse)
quota=$(printf '%s\n' "$status" | number dbSizeQuota)
[ -z "$quota" ] || [ "$quota" = 0 ] || [ "$used" -lt "$quota" ] ||
    fail "etcd's database has $used bytes, and the limit is $quota: delete what is not needed, or raise etcd's quota-backend-bytes"
echo "etcd's database: $before bytes before, $after now"
