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
new=$to/$cluster-$(date -u +%Y%m%dT%H%M%SZ).tar.gz{{ ".age" if recipients else "" }}
# What was cut off before. The folder may be one for several machines and clusters: of others, only what a machine of this cluster that is gone, or
# an earlier hostler, left a day ago.
rm -f "$to"/."$cluster"."$machine".????????????.hostler-new
find "$to" -maxdepth 1 -type f \( -name ".$cluster.*.????????????.hostler-new" -o -name ".$cluster-????????????.hostler-new" \) -mmin +1440 \
    -exec rm -f {} + 2> /dev/null || :
# A name that nobody knows beforehand, and a file that nobody has opened.
part=$(mktemp "$to/.$cluster.$machine.XXXXXXXXXXXX.hostler-new")
# Nothing is written of an archive that is not whole.
{{ path.bin }}/hostler seal-snapshot{% for recipient in recipients %} --recipient {{ recipient | quote }}{% endfor %} < "$archive" > "$part" || {
    rm -f "$part"
    exit 1
}
sync -f "$part" 2> /dev/null || sync
mv -fT "$part" "$new"
newest_first "$to" -uid "$(stat -c %u "$new")" | tail -n "+$((keep + 1))" | while read -r old; do rm -f "$old"; done
