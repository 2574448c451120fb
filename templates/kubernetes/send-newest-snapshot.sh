# Prints the name of the newest regular snapshot of this cluster, and after it the snapshot, unless it is no newer than "$known".
set -eu
LC_ALL=C
export LC_ALL
to={{ to | quote }}
cluster={{ cluster | quote }}
known={{ known | quote }}
{% include "machine/snapshot-names.sh" %}

# Only what this machine's own service wrote: others may write beside it.
newest=$(newest_first "$to" -uid "$(id -u)" | head -n 1)
[ -n "$newest" ] || {
    [ -n "$(newest_first "$to")" ] || exit 0
    echo "none of the snapshots in $to belongs to root: if $to is on a server that maps root to another user, export it with no_root_squash" >&2
    exit 1
}
name=${newest##*/}
[ "$(printf '%s\n%s\n' "$known" "$name" | sort | tail -n 1)" != "$known" ] || exit 0
printf '%s\n' "$name"
base64 < "$newest"
