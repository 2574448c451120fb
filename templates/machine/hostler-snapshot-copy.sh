# Written by hostler: copies the snapshots of this machine to a server, into a folder that has its name, and keeps the newest there. Those of
# other clusters and machines are left alone. Only names and sizes are read from the server.
set -eu
LC_ALL=C
export LC_ALL
umask 077
to={{ to | quote }}
cluster={{ cluster | quote }}
machine={{ machine | quote }}
keep={{ keep }}
share={{ share | quote }}
at={{ path.snapshot_server }}
copied={{ path.snapshot_copied }}
{% include "machine/snapshot-names.sh" %}

names_in() { newest_first "$@" | sed 's|.*/||'; }
{% if is_encrypted %}
# Those from before there were recipients stay on the machine.
{% endif %}
names_to_copy() { names_in "$to" -uid "$(id -u)"{% if is_encrypted %} -name '*.age'{% endif %}; }
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
timeout -k 5 60 mount -t nfs -o soft,timeo=100,retrans=2,retry=0,nosuid,nodev,noexec {{ source | quote }} "$at" || {
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
