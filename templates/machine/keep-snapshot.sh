# shellcheck disable=SC2154 # snapshot.sh and hostler-snapshot.sh name them
new=$to/$cluster-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
(umask 077 && cp "$archive" "$new.hostler-new")
sync -f "$new.hostler-new" 2> /dev/null || sync
mv -f "$new.hostler-new" "$new"
rm -f "$to/$cluster-"*.tar.gz.hostler-new
find "$to" -maxdepth 1 -name "$cluster-$stamps.tar.gz" | sort -r | tail -n "+$((keep + 1))" | while read -r old; do rm -f "$old"; done
