# A set is a folder of programs that belong together; `current` points to the one in use. Files are hard links into a store
# named by content, so that a program that several sets (or names) share is sent and kept once.
root=/opt/hostler
set={{ set | quote }}
mkdir -p "$root/store" "$root/sets"
# What was verified on arrival, now or in an earlier run: name, inode, size and time of change.
cut -d ' ' -f 1-4 "$root/verified" > "$root/verified.hostler-begun" 2> /dev/null || :
{% for file in payload %}
take "$root/store/{{ file.sha256 }}" 755 {{ file.size }} {{ file.sha256 }}
stat -c '{{ file.sha256 }} %i %s %.9Y' "$root/store/{{ file.sha256 }}" >> "$root/verified.hostler-begun"
{% endfor %}
# What a restart took off the record is looked at once, here, rather than at each look from now on.
stat -c '%n %i %s %.9Y' "$root/store"/* | sed "s|^$root/store/||" | { grep -vxF -f "$root/verified.hostler-begun" || :; } |
    while read -r name known; do
        [ "$(sha256sum < "$root/store/$name")" != "$name  -" ] || echo "$name $known"
    done > "$root/verified.hostler-doubted"
cat "$root/verified.hostler-doubted" >> "$root/verified.hostler-begun"
rm -f "$root/verified.hostler-doubted"
rm -rf "$root/sets/$set.hostler-new"
mkdir -p "$root/sets/$set.hostler-new/bin" "$root/sets/$set.hostler-new/cni"
{% for program in programs %}
ln "$root/store/{{ program.sha256 }}" "$root/sets/$set.hostler-new/{{ program.path }}"
{% endfor %}
rm -rf "$root/sets/$set.hostler-old"
[ ! -e "$root/sets/$set" ] || mv -T "$root/sets/$set" "$root/sets/$set.hostler-old"
mv -T "$root/sets/$set.hostler-new" "$root/sets/$set"
rm -rf "$root/sets/$set.hostler-old"
record programs-begun "$run"
ln -sfn "sets/$set" "$root/current.hostler-new"
mv -fT "$root/current.hostler-new" "$root/current"
for program in "$root/current/bin"/*; do
    name=${program##*/}
    [ "$(readlink "/usr/local/bin/$name")" = "$program" ] || ln -sfn "$program" "/usr/local/bin/$name"
done
# That is not hashed again as long as inode, size and times stay the same: see facts.sh. A file that has changed since is not on record, even
# where it has changed under this script. Its links are part of the other time, so that one is taken only now.
stat -L -c '%i %s %.9Y %.9Z %n' "$root/store"/* | sed "s|$root/store/||" |
    awk -v root="$root" -v begun="$root/verified.hostler-begun" '
        BEGIN { while ((getline < begun) > 0) verified[$1 " " $2 " " $3 " " $4] = 1 }
        ($5 " " $1 " " $2 " " $3) in verified { print $5, $1, $2, $3, $4, root "/store/" $5 }
    ' > "$root/verified.hostler-new"
mv -f "$root/verified.hostler-new" "$root/verified"
rm -f "$root/verified.hostler-begun"
# A service that runs another file than the one now in place is started anew.
file_at() { stat -L -c %d:%i "$1" 2> /dev/null; }
for unit in containerd kubelet; do
    pid=$(systemctl show -p MainPID --value "$unit.service" 2> /dev/null || echo 0)
    [ "${pid:-0}" = 0 ] || [ "$(file_at "/proc/$pid/exe")" = "$(file_at "$root/current/bin/$unit")" ] || systemctl restart "$unit.service"
done
rm -f /etc/hostler/applied/programs-begun
