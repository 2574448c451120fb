# Written by hostler: takes a snapshot if one is due, and keeps the newest snapshots of this cluster; other files in the folder are left alone.
set -eu
to='/var/backups/hostler'
cluster='home'
machine='twilightsparkle'
every=1440
keep=7
# snapshots_in FOLDER TESTS...: the snapshots of this cluster there that pass these tests of find. Other files are nobody's concern.
stamps='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z'
# shellcheck disable=SC2154 # what includes this names the cluster
snapshots_in() {
    looked_in=$1
    shift
    find "$looked_in" -maxdepth 1 -type f \( -name "$cluster-$stamps.tar.gz" -o -name "$cluster-$stamps.tar.gz.age" \) "$@"
}
# newest_first FOLDER TESTS...: the same, the newest first. Those of a time to come are from before a wrong clock was set: they come last, and
# keep nothing from its place.
newest_first() {
    snapshots_in "$@" | LC_ALL=C sort -r | LC_ALL=C awk -v now="$(date -u +%Y%m%dT%H%M%SZ)" '
        { stamp = $0; sub(/[.]tar[.]gz([.]age)?$/, "", stamp); stamp = substr(stamp, length(stamp) - 15) }
        stamp > now { later[++count] = $0; next }
        { print }
        END { for (place = 1; place <= count; place++) print later[place] }'
}

(umask 077 && mkdir -p "$to")
# A minute less: the last one was taken some seconds after it was due. One of a time to come is from before a wrong clock was set.
[ -z "$(snapshots_in "$to" -mmin "-$((every - 1))" ! -newermt "1 minute")" ] || exit 0
# An upgrade stops etcd for minutes: the next look comes in ten.
for step in /run/hostler/steps/*; do
    [ -e "$step" ] || continue
    flock --nonblock "$step" true || {
        echo "hostler is changing this machine, so the snapshot is taken later"
        exit 0
    }
done
# After a start of the machine, the API server takes a while. What is wrong otherwise, what follows says.
tries=0
until /opt/hostler/current/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 --tls-server-name kubernetes --request-timeout 5s get --raw /readyz > /dev/null 2>&1 || [ "$tries" = 40 ]; do
    tries=$((tries + 1))
    sleep 5
done
# What a lost control plane is brought back from, as a compressed tar "$archive": etcd's data, the keys that the cluster trusts, and
# kubeadm's documents. It holds every secret of the cluster: what follows this takes it, and nothing stays in "$folder".
set -eu
umask 077
PATH=/opt/hostler/current/bin:$PATH
[ -e /etc/kubernetes/pki/ca.key ] || {
    echo "this is not a control plane: there is no /etc/kubernetes/pki/ca.key" >&2
    exit 1
}
mkdir -p /var/lib/hostler
chmod 700 /var/lib/hostler
# One that was cut off, as by a power failure, would keep every secret for good. Whoever makes one holds it for as long as it lives.
exec 6< /var/lib/hostler
flock -w 60 6 || {
    echo "another snapshot is being started, and does not end" >&2
    exit 1
}
for old in /var/lib/hostler/snapshot.??????; do
    [ ! -d "$old" ] || flock --nonblock "$old" rm -rf "$old" || :
done
folder=$(mktemp -d /var/lib/hostler/snapshot.XXXXXX)
trap 'rm -rf "$folder"' EXIT
exec 7< "$folder"
flock 7
exec 6<&-
trap 'exit 1' HUP INT TERM
what=$folder/snapshot
mkdir -p "$what/pki/etcd"
etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key \
    --command-timeout 120s snapshot save "$what/etcd.db" > "$folder/said" 2>&1 || {
    cat "$folder/said" >&2
    exit 1
}
# A snapshot that was cut or changed on its way fails its own sum here.
etcdutl snapshot status "$what/etcd.db" --write-out json > "$what/etcd.json"
for file in ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key; do
    cp "/etc/kubernetes/pki/$file" "$what/pki/$file"
done
api() {
    kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 --tls-server-name kubernetes --request-timeout 20s \
        --cache-dir "$folder/kubectl" "$@"
}
for name in kubeadm-config kubelet-config; do
    api --namespace kube-system get configmap "$name" --output yaml > "$what/$name.yaml"
done
# Who was in the cluster, so that nobody has to look into etcd's data for it.
api get nodes --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' > "$what/nodes"
date -u +%Y-%m-%dT%H:%M:%SZ > "$what/taken"
archive=$folder/snapshot.tar.gz
tar -czf "$archive" -C "$what" etcd.db etcd.json pki kubeadm-config.yaml kubelet-config.yaml nodes taken
# shellcheck disable=SC2154 # snapshot.sh and hostler-snapshot.sh name them
# Whoever may write there, or to a folder on the way there, could put something else under a snapshot's name: unless, as in /tmp, nobody can touch
# what is another's.
at=$(readlink -f "$to")
while :; do
    # shellcheck disable=SC2046 # words
    set -- $(stat -c '%A %u' "$at")
    case $2 in
    0 | "$(id -u)") ;;
    *)
        echo "$at does not belong to root, and its owner could change the snapshots: run \`chown root $at\`, or choose another folder" >&2
        exit 1
        ;;
    esac
    case $1 in
    ?????w???? | ????????w?)
        case $1,$2 in
        *[tT],0) ;;
        *)
            echo "other users can write to $at: run \`chmod go-w $at\`, or choose another folder" >&2
            exit 1
            ;;
        esac
        ;;
    esac
    [ "$at" != / ] || break
    at=$(dirname "$at")
done
new=$to/$cluster-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
# What was cut off before. The folder may be one for several machines and clusters: of others, only what a machine of this cluster that is gone, or
# an earlier hostler, left a day ago.
rm -f "$to"/."$cluster"."$machine".????????????.hostler-new
find "$to" -maxdepth 1 -type f \( -name ".$cluster.*.????????????.hostler-new" -o -name ".$cluster-????????????.hostler-new" \) -mmin +1440 \
    -exec rm -f {} + 2> /dev/null || :
# A name that nobody knows beforehand, and a file that nobody has opened.
part=$(mktemp "$to/.$cluster.$machine.XXXXXXXXXXXX.hostler-new")
# Nothing is written of an archive that is not whole.
/opt/hostler/current/bin/hostler seal-snapshot < "$archive" > "$part" || {
    rm -f "$part"
    exit 1
}
sync -f "$part" 2> /dev/null || sync
mv -fT "$part" "$new"
newest_first "$to" -uid "$(stat -c %u "$new")" | tail -n "+$((keep + 1))" | while read -r old; do rm -f "$old"; done
