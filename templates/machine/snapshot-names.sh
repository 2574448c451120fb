# snapshots_in FOLDER TESTS...: the snapshots of this cluster there that pass these tests of find. Other files are nobody's concern.
stamps='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z'
# shellcheck disable=SC2154 # what includes this names the cluster
snapshots_in() {
    looked_in=$1
    shift
    find "$looked_in" -maxdepth 1 -type f \( -name "$cluster-$stamps.tar.gz" -o -name "$cluster-$stamps.tar.gz.age" \) "$@"
}
# newest_first FOLDER TESTS...: the same, the newest first. Those of a time to come are from before a wrong clock was set: they come last, and
# keep nothing from its place.
newest_first() {
    snapshots_in "$@" | LC_ALL=C sort -r | LC_ALL=C awk -v now="$(date -u +%Y%m%dT%H%M%SZ)" '
        { stamp = $0; sub(/[.]tar[.]gz([.]age)?$/, "", stamp); stamp = substr(stamp, length(stamp) - 15) }
        stamp > now { later[++count] = $0; next }
        { print }
        END { for (place = 1; place <= count; place++) print later[place] }'
}
