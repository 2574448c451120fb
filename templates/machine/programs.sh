# A set is a folder of programs that belong together; `current` points to the one in use. Files are hard links into a store
# named by content, so that a program that several sets (or names) share is sent and kept once.
store={{ path.store }}
sets={{ path.sets }}
{% if use %}
current={{ path.current }}
{% endif %}
verified={{ path.verified }}
set={{ set | quote }}
mkdir -p "$store" "$sets"
# What was verified on arrival, now or in an earlier run: name, inode, size and time of change.
cut -d ' ' -f 1-4 "$verified" > "$verified.hostler-known" 2> /dev/null || :
{% for file in payload %}
take "$store/{{ file.sha256 }}" 755 {{ file.size }} {{ file.sha256 }}
stat -c '{{ file.sha256 }} %i %s %.9Y' "$store/{{ file.sha256 }}" >> "$verified.hostler-known"
{% endfor %}
# What a restart took off the record is looked at once, here, rather than at each look from now on.
stat -c '%n %i %s %.9Y' "$store"/* | sed "s|^$store/||" | { grep -vxF -f "$verified.hostler-known" || :; } |
    while read -r name known; do
        [ "$(sha256sum < "$store/$name")" != "$name  -" ] || echo "$name $known"
    done > "$verified.hostler-doubted"
cat "$verified.hostler-doubted" >> "$verified.hostler-known"
rm -f "$verified.hostler-doubted"
rm -rf "$sets/$set.hostler-new"
mkdir -p "$sets/$set.hostler-new/bin" "$sets/$set.hostler-new/cni"
{% for program in programs %}
ln "$store/{{ program.sha256 }}" "$sets/$set.hostler-new/{{ program.path }}"
{% endfor %}
rm -rf "$sets/$set.hostler-old"
[ ! -e "$sets/$set" ] || mv -T "$sets/$set" "$sets/$set.hostler-old"
mv -T "$sets/$set.hostler-new" "$sets/$set"
rm -rf "$sets/$set.hostler-old"
{% if use %}
record {{ mark.programs }} "$run"
ln -sfn "{{ path.current_begins }}$set" "$current.hostler-new"
mv -fT "$current.hostler-new" "$current"
for program in "$current/bin"/*; do
    link=/usr/local/bin/${program##*/}
    # What is there of others is kept beside it, as often as it comes.
    case $(readlink "$link") in
    "$program") continue ;;
    {{ path.root }}/*) ;;
    *)
        if [ -e "$link" ] || [ -L "$link" ]; then mv --backup=numbered -T "$link" "$link{{ containerd.before }}"; fi
        ;;
    esac
    ln -sfn "$program" "$link"
done
{% endif %}
# That is not hashed again as long as inode, size and times stay the same: see facts.sh. A file that has changed since is not on record, even
# where it has changed under this script. Its links are part of the other time, so that one is taken only now.
stat -L -c '%i %s %.9Y %.9Z %n' "$store"/* | sed "s|$store/||" |
    awk -v store="$store" -v begun="$verified.hostler-known" '
        BEGIN { while ((getline < begun) > 0) verified[$1 " " $2 " " $3 " " $4] = 1 }
        ($5 " " $1 " " $2 " " $3) in verified { print $5, $1, $2, $3, $4, store "/" $5 }
    ' > "$verified.hostler-new"
mv -f "$verified.hostler-new" "$verified"
rm -f "$verified.hostler-known"
{% if use %}
# A service that runs another file than the one now in place is started anew.
file_at() { stat -L -c %d:%i "$1" 2> /dev/null; }
for unit in containerd kubelet; do
    pid=$(systemctl show -p MainPID --value "$unit.service" 2> /dev/null || echo 0)
    [ "${pid:-0}" = 0 ] || [ "$(file_at "/proc/$pid/exe")" = "$(file_at "$current/bin/$unit")" ] || systemctl restart "$unit.service"
done
rm -f {{ path.applied }}/{{ mark.programs }}
{% endif %}
