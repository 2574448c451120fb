# hostler's block in /etc/hosts; the rest of the file is the user's. Where the mark of its end was lost nobody knows how far it went:
# then only lines for names that the new block has are taken for hostler's.
new={{ path.hosts }}.hostler-new
[ -e {{ path.hosts }} ] || echo '127.0.0.1 localhost' > {{ path.hosts }}
# A bind-mounted /etc/hosts can't be replaced, only written.
put() {
    ! mv -f "$new" {{ path.hosts }} 2> /dev/null || return 0
    cat "$new" > {{ path.hosts }} || :
    [ "$(sha256sum < "$new")" = "$(sha256sum < {{ path.hosts }})" ] || fail "{{ path.hosts }} can't be written"
    rm -f "$new"
}
# Where a run was interrupted while it wrote, the file has the beginning alone of what is whole here.
if [ -e "$new" ]; then
    size=$(stat -c %s {{ path.hosts }})
    if [ "$size" -lt "$(stat -c %s "$new")" ] && [ "$(head -c "$size" "$new" | sha256sum)" = "$(sha256sum < {{ path.hosts }})" ]; then
        put
    fi
fi
head -c {{ block.size }} > "$new.block"
{
    awk '
        NR == FNR { known[$2]; next }
        $0 == "{{ hosts.begin }}" { printf "%s", held; held = ""; inside = 1; next }
        $0 == "{{ hosts.end }}" { held = ""; inside = 0; next }
        inside { if (!($2 in known)) held = held $0 "\n"; next }
        { print }
        END { printf "%s", held }
    ' "$new.block" {{ path.hosts }}
    echo '{{ hosts.begin }}'
    cat "$new.block"
    echo '{{ hosts.end }}'
} > "$new.half"
chmod 644 "$new.half"
mv -f "$new.half" "$new"
put
rm -f "$new.block"
