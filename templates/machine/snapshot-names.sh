# snapshots_in FOLDER TESTS...: the snapshots of this cluster there that pass these tests of find. Other files are nobody's concern.
stamps='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z'
# shellcheck disable=SC2154 # what includes this names the cluster
snapshots_in() {
    looked_in=$1
    shift
    find "$looked_in" -maxdepth 1 -type f \( -name "$cluster-$stamps.tar.gz" -o -name "$cluster-$stamps.tar.gz.age" \) "$@"
}
