# kubelet's configuration, as an upgrade kept it. Whichever version of kubelet runs next reads it.
kept={{ path.before_upgrade }}
for file in {{ path.kubelet_config }} {{ path.kubelet_flags }}; do
    cp -p "$kept/${file##*/}" "$file.hostler-new"
    mv -f "$file.hostler-new" "$file"
done
