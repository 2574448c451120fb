# hostler's block in /etc/hosts; the rest of the file is the user's. Where the mark of its end was lost nobody knows how far it went:
# then only lines for names that the new block has are taken for hostler's.
new={{ path.hosts }}.hostler-new
[ -e {{ path.hosts }} ] || echo '127.0.0.1 localhost' > {{ path.hosts }}
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
} > "$new"
chmod 644 "$new"
# A bind-mounted /etc/hosts can't be replaced, only written.
if ! mv -f "$new" {{ path.hosts }} 2> /dev/null; then
    sum=$(sha256sum < "$new")
    cat "$new" > {{ path.hosts }} || :
    rm -f "$new"
    [ "$sum" = "$(sha256sum < {{ path.hosts }})" ] || fail "{{ path.hosts }} can't be written"
fi
rm -f "$new.block"
