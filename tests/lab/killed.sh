#!/bin/bash
# killed.sh HOSTLER [MOMENTS] [SEED]: every verb killed with -9 at so many random moments (5), and run again, on the lab's real machines, as
# root: whatever it was at, the second run comes to the same end. As rows.sh says. SEED repeats the moments of an earlier run.
set -euo pipefail
hostler=$(realpath "$1")
moments=${2:-5}
seed=${3:-$((SRANDOM % 32768))}
lab=killed
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/lab/rows.sh
. "$here/rows.sh"
RANDOM=$seed
mkfifo "$work/never"
declare -A took

# whole VERB ARGUMENTS...: the verb, not killed, and how many milliseconds it takes.
whole() {
    local verb=$1 began=${EPOCHREALTIME/./}
    run 0 "$@"
    took[$verb]=$(((${EPOCHREALTIME/./} - began) / 1000))
}
# killed VERB ARGUMENTS...: the same, killed at a random moment while it runs, and then run again to its end.
killed() {
    local verb=$1 after pid status=0
    # Not in the last moments, in which it may have ended.
    after=$((RANDOM * 32768 + RANDOM))
    after=$((after % (${took[$verb]} * 9 / 10) + 1))
    "$hostler" "$@" > "$work/killed" 2>&1 < /dev/null &
    pid=$!
    # The moment is what is tested, so time is what is waited for.
    read -rt "$((after / 1000)).$(printf %03d $((after % 1000)))" <> "$work/never" || true
    kill -9 "$pid" 2> /dev/null || true
    wait "$pid" 2> /dev/null || status=$?
    printf '          %s after %d.%03d s (status %s): %s\n' "$verb" $((after / 1000)) $((after % 1000)) "$status" "$(tail -n 1 "$work/killed")"
    run 0 "$@"
}
# The end states: what kubectl, etcdctl and the machine itself say.
whole_cluster() {
    becomes_ready 2
    members twilightsparkle 1
    on rainbowdash '[ -e /etc/kubernetes/kubelet.conf ] && [ ! -e /etc/hostler/applied/join-begun ]'
    empty
}
without_worker() {
    [ "$(kubectl get nodes --no-headers | awk '{ print $1, $2 }')" = "twilightsparkle Ready" ]
    members twilightsparkle 1
    bare rainbowdash
}
bare() { on "$1" '[ ! -e /etc/kubernetes ] && [ ! -e /var/lib/kubelet ] && [ ! -e /var/lib/etcd ] && [ ! -e /etc/hostler ] && ! pgrep -x kubelet > /dev/null'; }
snapshot_is_whole() {
    [ -z "$(on twilightsparkle ls /var/lib/hostler)" ] || { echo "something of a snapshot is left on twilightsparkle" >&2; return 1; }
    [ "$(find "$work" -name "snapshot.tar.gz" -perm 600 | wc -l)" = 1 ]
    tar -tzf "$work/snapshot.tar.gz" etcd.db pki/ca.key > /dev/null
}

up=(up -i "$inventory" --yes)
rebuild=(rebuild rainbowdash -i "$inventory" --yes)
remove=(remove rainbowdash -i "$inventory" --yes)
add=(add rainbowdash -i "$inventory" --yes)
reset=(reset -i "$inventory" --yes-take-down lab)
snapshot=(snapshot create "$work/snapshot.tar.gz" -i "$inventory")

printf 'seed %s, %s moments of each verb\n' "$seed" "$moments"
row "every verb once, not killed"
run 0 lab up --machines 2 --machines-only
whole "${up[@]}"
whole_cluster
# The regular one is taken today: no other comes meanwhile.
on twilightsparkle systemctl start hostler-snapshot.service
whole "${snapshot[@]}"
snapshot_is_whole
remember twilightsparkle
whole "${rebuild[@]}"
whole_cluster
whole "${remove[@]}"
without_worker
whole "${add[@]}"
whole_cluster
for verb in up snapshot rebuild remove add; do printf '          %s %s ms\n' "$verb" "${took[$verb]}"; done

for ((moment = 1; moment <= moments; moment++)); do
    row "killed, moment $moment of $moments: snapshot, rebuild, remove, add; the control plane goes on"
    rm "$work/snapshot.tar.gz"
    killed "${snapshot[@]}"
    snapshot_is_whole
    killed "${rebuild[@]}"
    whole_cluster
    killed "${remove[@]}"
    without_worker
    killed "${add[@]}"
    whole_cluster
    untouched twilightsparkle
done
row "reset, not killed"
whole "${reset[@]}"
for ((moment = 1; moment <= moments; moment++)); do
    row "killed, moment $moment of $moments: up, reset"
    killed "${up[@]}"
    whole_cluster
    killed "${reset[@]}"
    bare twilightsparkle
    bare rainbowdash
done
row "lab up, not killed"
run 0 lab down
whole lab up --machines 2
whole_cluster
for ((moment = 1; moment <= moments; moment++)); do
    row "killed, moment $moment of $moments: lab up, from machines to cluster"
    run 0 lab down
    killed lab up --machines 2
    whole_cluster
done

printf '%d rows passed\n' "$rows"
