# Written by hostler: takes a snapshot if one is due, and keeps the newest snapshots of this cluster; other files in the folder are nobody's concern here.
set -eu
to={{ to | quote }}
cluster={{ cluster | quote }}
every={{ every }}
keep={{ keep }}
stamps='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z'
(umask 077 && mkdir -p "$to")
# A minute less: the last one was taken some seconds after it was due.
[ -z "$(find "$to" -maxdepth 1 \( -name "$cluster-$stamps.tar.gz" -o -name "$cluster-$stamps.tar.gz.age" \) -mmin "-$((every - 1))")" ] || exit 0
