#!/usr/bin/env bash
# benches/up/run.sh HOSTLER [ROUNDS] [CONTROL_PLANES] [WORKERS] [PERCENT]: from blank machines that are on (1 + 2, where nothing is said),
# bundle at hand, to a cluster: `hostler up` against plain.sh, a parallel shell script for the same work over OpenSSH. As root, on the lab's
# machines (a lab of its own). Both in turn, in one run.
# Seconds from the start: initialized (its kubeconfig is there), joined (all nodes are known), Ready (all), CoreDNS rolled out; and the end,
# when pods on all machines found each other. Last, ratios of medians.
# Then each `up` against its longest path over `needs`, by longest-path.py. How long steps take that have the computer for themselves is
# measured before, on machines that are brought in one after the other; within one machine, steps run side by side there, too.
# No run can be shorter than that path, nor than what it asks of the processors divided by their number: so that is told, too.
# PERCENT: what each machine may have of a core at most (cgroup v1 only), and its disk is in memory (16 GB at most, of all). Where all of them together
# have less than there is, each has as much as if the others were not there: so are machines of their own, but slower.
# shellcheck disable=SC2016 # what is in single quotes runs on a machine
set -euo pipefail
hostler=$(realpath "$1") rounds=${2:-3} planes=${3:-1} workers=${4:-2} percent=${5:-}
machines=$((planes + workers))
here=$(dirname "$(realpath "$0")")
export HOSTLER_LAB=bench
lab=/var/lib/hostler/lab.bench
# Nobody else sees what is mounted here.
if [ -n "$percent" ] && [ -z "${HOSTLER_BENCH_INSIDE:-}" ]; then
    mkdir -p "${lab%/*}"
    HOSTLER_BENCH_INSIDE=yes exec unshare --mount sh -euc 'mount -t tmpfs -o size=16g tmpfs "$1" && shift && exec "$@"' sh "${lab%/*}" "$0" "$@"
fi
work=$(mktemp -d)
trap '"$hostler" lab down > /dev/null 2>&1; rm -rf "$work"' EXIT

blank() {
    "$hostler" lab down > /dev/null 2>&1
    "$hostler" lab up --machines "$machines" --control-planes "$planes" --machines-only > /dev/null 2>&1
    local quota
    [ -z "$percent" ] || for quota in /sys/fs/cgroup/cpu/lab/"$HOSTLER_LAB"-*/cpu.cfs_quota_us; do
        # Of a period of 100 ms, in microseconds.
        echo "$((percent * 1000))" > "$quota"
    done
}

# Prints each moment as it comes. Who watches is none of the machines, and costs them little: kubectl runs beside them, and waits.
watch() {
    local api
    "$hostler" lab ssh "${names[0]}" 'until [ -e /etc/kubernetes/admin.conf ]; do sleep 0.2; done; date +"initialized %s.%N"; cat /etc/kubernetes/admin.conf' |
        { read -r line && echo "$line" && cat > "$work/kubeconfig"; }
    api=("$hostler" lab exec "$work/kubectl" --kubeconfig "$work/kubeconfig" --server "https://$address:6443")
    until "${api[@]}" wait --for=create --timeout=600s "${names[@]/#/node/}" > /dev/null 2>&1; do sleep 0.5; done; date +"joined %s.%N"
    "${api[@]}" wait --for=condition=Ready --timeout=600s "${names[@]/#/node/}" > /dev/null; date +"ready %s.%N"
    "${api[@]}" -n kube-system rollout status deployment/coredns > /dev/null; date +"coredns %s.%N"
}

# Seconds for which the computer's cores were busy since it started, all together: proc(5), without idle and iowait.
busy() { awk -v hertz="$(getconf CLK_TCK)" '/^cpu / { print ($2 + $3 + $4 + $7 + $8) / hertz }' /proc/stat; }

once() { # NAME OUTPUT COMMAND...
    local name=$1 output=$2 began
    shift 2
    blank
    began=$(date +%s.%N)
    watch > "$work/moments" &
    local watcher=$! busy_before
    busy_before=$(busy)
    "$@" > "$output" 2>&1 || { cat "$output" >&2; exit 1; }
    date +"end %s.%N" > "$work/end"
    awk -v name="$name" -v before="$busy_before" -v after="$(busy)" -v cores="$(nproc)" \
        'BEGIN { printf "%s processors %.1f (%.1f on each of %d)\n", name, after - before, (after - before) / cores, cores }' | tee -a "$work/all"
    wait "$watcher"
    awk -v began="$began" -v name="$name" '{ printf "%s %s %.1f\n", name, $1, $2 - began }' "$work/moments" "$work/end" | tee -a "$work/all"
}

echo "one machine after the other, of $planes + $workers"
blank
alone=()
mapfile -t names < <(awk '/^machines:/ { on = 1; next } /^[^ #]/ { on = 0 } on && /^  [a-z0-9-]+:$/ { sub(":", ""); print $1 }' "$lab/inventory.yaml")
address=$(awk -v name="${names[0]}:" '$1 == name { on = 1 } on && $1 == "address:" { print $2; exit }' "$lab/inventory.yaml")
ln -s "$(python3 -c 'import json, sys; folder = sys.argv[1]; manifest = json.load(open(folder + "/manifest.json"))
print(next(folder + "/files/" + file["sha256"] for file in manifest["files"] if file["name"] == "kubectl"))' \
    "${HOSTLER_CACHE:-/var/cache/hostler}/bundles/1.36.3-amd64")" "$work/kubectl"
for machine in "${names[@]}"; do
    "$hostler" add "$machine" -i "$lab/inventory.yaml" --yes --output json > "$work/alone-$machine" 2>&1 || { cat "$work/alone-$machine" >&2; exit 1; }
    alone+=("$work/alone-$machine")
done

for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds"
    once plain "$work/plain" "$here/plain.sh" "$hostler" "$lab/inventory.yaml"
    once hostler "$work/up-$round" "$hostler" up -i "$lab/inventory.yaml" --yes --output json
done

echo
echo "medians of $rounds, in seconds"
median() { awk -v name="$1" -v moment="$2" '$1 == name && $2 == moment { print $3 }' "$work/all" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
for moment in initialized joined ready coredns end processors; do
    ours=$(median hostler "$moment") theirs=$(median plain "$moment")
    printf '%-12s hostler %6s  plain %6s  ratio %s\n' "$moment" "$ours" "$theirs" "$(awk "BEGIN { printf \"%.2f\", $ours / $theirs }")"
done

for ((round = 1; round <= rounds; round++)); do
    echo
    echo "round $round"
    "$here/longest-path.py" "$work/up-$round" "${alone[@]}"
done
