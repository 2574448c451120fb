# Written by hostler: copies the snapshots of this machine to a server, into a folder that has its name, and keeps the newest there. Those of
# other clusters and machines are left alone. Only names and sizes are read from the server.
set -eu
LC_ALL=C
export LC_ALL
umask 077
to='/var/backups/hostler'
cluster='ponies'
machine='fluttershy'
keep=7
share='nfs://192.168.1.3/snapshots'
at=/run/hostler/snapshots
copied=/var/lib/hostler/snapshot-copied
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

names_in() { newest_first "$@" | sed 's|.*/||'; }
names_to_copy() { names_in "$to" -uid "$(id -u)"; }
last=
[ ! -f "$copied" ] || IFS= read -r last < "$copied" || :
# It is of another share.
[ "${last#* }" = "$share" ] || rm -f "$copied"
newest=$(names_to_copy | head -n 1)
[ -n "$newest" ] || exit 0
# The server is left alone until there is another one.
[ "$last" != "$newest $share" ] || exit 0

mkdir -p "$at"
# soft: a server that does not answer is an error, not a wait without end.
timeout -k 5 60 mount -t nfs -o soft,timeo=100,retrans=2,retry=0,nosuid,nodev,noexec '192.168.1.3:/snapshots' "$at" || {
    echo "$share can't be mounted" >&2
    exit 1
}
cd "$at"
mkdir -p "$machine" || {
    echo "the folder $machine can't be created on $share: if permission is denied, allow root of this machine to write there, with no_root_squash" >&2
    exit 1
}
cd "$machine"
# A link that others made there would lead into this machine's own folders.
[ "$(pwd -P)" = "$at/$machine" ] || {
    echo "$share/$machine is a symbolic link, not a folder: delete the link" >&2
    exit 1
}
# What was cut off goes first: it may be what fills the share.
find . -maxdepth 1 -type f -name ".$cluster-$stamps.tar.gz*-????????????.hostler-new" -delete
names_to_copy | while read -r name; do
    [ ! -L "$name" ] && [ "$(stat -c %s "$name" 2> /dev/null)" = "$(stat -c %s "$to/$name")" ] && continue
    # Under a name that nobody knows beforehand, in a file that nobody has opened.
    part=$(mktemp ".$name-XXXXXXXXXXXX.hostler-new")
    { cat "$to/$name" > "$part" && touch -r "$to/$name" "$part" && sync "$part" && mv -fT "$part" "$name"; } || {
        echo "$name can't be copied to $share" >&2
        rm -f "$part"
        exit 1
    }
    echo "copied $name to $share"
done
names_in . | tail -n "+$((keep + 1))" | while read -r old; do
    [ -e "$to/$old" ] || rm -f "$old"
done
printf '%s\n' "$newest $share" > "$copied.hostler-new"
touch -r "$to/$newest" "$copied.hostler-new"
mv -f "$copied.hostler-new" "$copied"
