#!/usr/bin/env bash
# run.sh HOSTLER [ROUNDS] [CONTROL_PLANES] [WORKERS] [FROM] [TO]: `hostler upgrade` against plain.sh, a shell script for the same work, on the lab's machines,
# as root, in turn (1 + 2 from 1.35.4 to 1.36.3, where nothing is said; both bundles are in the cache). Each worker has a replica of a Deployment with
# `preStop: sleep 10` and a PodDisruptionBudget, which is asked ten times a second through all machines, as is the API: what failed, and for how long
# the API was unavailable. Seconds, and the ratio of the medians.
set -euo pipefail
hostler=$(realpath "$1") rounds=${2:-1} planes=${3:-1} workers=${4:-2} from=${5:-1.35.4} to=${6:-1.36.3}
here=$(dirname "$(realpath "$0")")
export HOSTLER_LAB=upbench
lab=/var/lib/hostler/lab.upbench
work=$(mktemp -d)
trap 'touch "$work/end"; "$hostler" lab down > /dev/null 2>&1; rm -rf "$work"' EXIT
export XDG_STATE_HOME=$work/state XDG_DATA_HOME=$work/share XDG_CONFIG_HOME=$work/config

old() {
    "$hostler" lab down > /dev/null 2>&1
    "$hostler" lab up --machines $((planes + workers)) --control-planes "$planes" --machines-only > /dev/null 2>&1
    sed -i "s/^cluster:\$/&\n  version: $from/" "$lab/inventory.yaml"
    "$hostler" up -i "$lab/inventory.yaml" --yes --kubeconfig "$work/kubeconfig" > "$work/up" 2>&1 || { cat "$work/up" >&2; exit 1; }
    local first image
    first=$("$hostler" lab list | awk '$3 == "control-plane" { print $1; exit }')
    image=$("$hostler" lab ssh "$first" /opt/hostler/current/bin/crictl images -o json | sed -n 's/.*"\([^"]*hostler:[^"]*\)".*/\1/p' | head -n 1)
    sed "s|IMAGE|$image|; s|REPLICAS|$workers|; s|LEAST|$((workers - 1))|; s|PAUSE|10|; s|TOLERATIONS||" "$here/../../tests/lab/web.yaml" |
        "$hostler" lab ssh "$first" '/opt/hostler/current/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f - > /dev/null'
    "$hostler" lab ssh "$first" '/opt/hostler/current/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf rollout status deployment web --timeout 120s > /dev/null'
}

once() { # NAME COMMAND...
    local name=$1 began took
    shift
    old
    rm -f "$work/end"
    local asked asks
    asked=("$(awk '$1 == "server:" { print $2 }' "$work/kubeconfig")/livez")
    mapfile -t -O 1 asked < <("$hostler" lab list | awk '$2 ~ /^[0-9.]+$/ { print "http://" $2 ":30080/who" }')
    # What was just applied takes a second to be everywhere.
    "$hostler" lab exec -- curl --silent --fail --insecure --retry 60 --retry-all-errors --retry-delay 1 --max-time 5 "${asked[@]}" > /dev/null
    "$hostler" lab exec -- "$here/../../tests/lab/ask.py" "$work/end" "${asked[@]}" > "$work/asked" 2>&1 &
    asks=$!
    began=$(date +%s.%N)
    "$@" > "$work/$name" 2>&1 || { cat "$work/$name" >&2; exit 1; }
    took=$(awk -v began="$began" -v end="$(date +%s.%N)" 'BEGIN { printf "%.1f", end - began }')
    "$hostler" lab ssh "$("$hostler" lab list | awk '$3 == "control-plane" { print $1; exit }')" \
        "/opt/hostler/current/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --no-headers" > "$work/nodes"
    [ "$(grep -c " Ready .* v$to" "$work/nodes")" = $((planes + workers)) ] || { cat "$work/nodes" >&2; exit 1; }
    touch "$work/end"
    wait "$asks"
    printf '%s %s\n' "$name" "$took" | tee -a "$work/all"
    cat "$work/asked"
}

for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds: $planes + $workers from $from to $to"
    once plain "$here/plain.sh" "$hostler" "$lab/inventory.yaml" "$to"
    once hostler "$hostler" upgrade -i "$lab/inventory.yaml" --to "$to" --yes
done
median() { awk -v name="$1" '$1 == name { print $2 }' "$work/all" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
awk -v ours="$(median hostler)" -v theirs="$(median plain)" 'BEGIN { printf "hostler %s s, plain %s s: ratio %.2f\n", ours, theirs, ours / theirs }'
