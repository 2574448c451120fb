#!/usr/bin/env bash
# benches/add/run.sh HOSTLER [ROUNDS]: one blank machine, which is on, into a cluster of two, bundle at hand: `hostler add` against
# ../up/plain.sh, a shell script for the same work over OpenSSH. As root, on the lab's machines (a lab of its own). Both in turn, in one run.
# Seconds from the start: joined (its node is known), Ready, and the end, which for hostler comes after its probes across machines. Last,
# ratios of medians.
# shellcheck disable=SC2016 # what is in single quotes runs on a machine
set -euo pipefail
hostler=$(realpath "$1") rounds=${2:-3}
here=$(dirname "$(realpath "$0")")
export HOSTLER_LAB=benchadd
inventory=/var/lib/hostler/lab.benchadd/inventory.yaml
work=$(mktemp -d)
export XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state XDG_DATA_HOME=$work/share
trap '"$hostler" lab down > /dev/null 2>&1; rm -rf "$work"' EXIT

# Prints each moment as it comes. One session for the whole time, the same for both; kubectl waits, as asking again and again costs the machine.
watch() {
    "$hostler" lab ssh twilightsparkle '
        export KUBECONFIG=/etc/kubernetes/admin.conf PATH=/opt/hostler/current/bin:$PATH
        kubectl wait --for=create --timeout=600s node/fluttershy > /dev/null; date +"joined %s.%N"
        kubectl wait --for=condition=Ready --timeout=600s node/fluttershy > /dev/null; date +"ready %s.%N"
    '
}

once() { # NAME COMMAND...
    local name=$1 began key
    shift
    "$hostler" remove fluttershy -i "$inventory" --yes --dead > "$work/out" 2>&1 < /dev/null
    "$hostler" lab blank fluttershy > "$work/out" 2>&1
    key=$("$hostler" lab ssh fluttershy cut -d "' '" -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub)
    sed -i "/^  fluttershy:/,/hostKey:/s|hostKey: .*|hostKey: $key|" "$inventory"
    began=$(date +%s.%N)
    watch > "$work/moments" &
    local watcher=$!
    "$@" > "$work/out" 2>&1 < /dev/null || { cat "$work/out" >&2; exit 1; }
    date +"end %s.%N" > "$work/end"
    wait "$watcher"
    awk -v began="$began" -v name="$name" '{ printf "%s %s %.1f\n", name, $1, $2 - began }' "$work/moments" "$work/end" | tee -a "$work/all"
}

"$hostler" lab up > "$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds"
    once plain "$here/../up/plain.sh" "$hostler" "$inventory" fluttershy
    once hostler "$hostler" add fluttershy -i "$inventory" --yes
done

echo
echo "medians of $rounds, in seconds"
median() { awk -v name="$1" -v moment="$2" '$1 == name && $2 == moment { print $3 }' "$work/all" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
for moment in joined ready end; do
    ours=$(median hostler "$moment") theirs=$(median plain "$moment")
    printf '%-12s hostler %6s  plain %6s  ratio %s\n' "$moment" "$ours" "$theirs" "$(awk "BEGIN { printf \"%.2f\", $ours / $theirs }")"
done
