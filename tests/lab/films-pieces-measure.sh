#!/bin/bash
# films-pieces-measure.sh HOSTLER [PERCENT [SECONDS]]: how much faster three machines encode one film than one of them, on the lab's machines, as
# root. Each of the three gets PERCENT of a core, so that they don't take each other's; the control plane is a fourth one. On a computer with
# nothing else to do. A film of so many seconds, with hostler's own preset.
lab=${HOSTLER_LAB:-pieces}
export HOSTLER_LAB=$lab
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"
percent=${2:-40}
seconds=${3:-240}

# groups FILE: that file of the cgroup of each machine that encodes.
groups() {
    local machine
    for machine in "${encoders[@]}"; do
        find /sys/fs/cgroup -path "*/lab/$lab-$machine/$1" -o -path "*/lab-$lab-$machine*/$1" | head -n 1
    done
}
# used: seconds of processor that these machines have used.
used() {
    local file
    for file in $(groups cpuacct.usage); do cat "$file"; done | awk '{ sum += $1 / 1e9 } END { printf "%.1f\n", sum }'
}
now() { date +%s.%N; }
minus() { awk -v end="$1" -v begin="$2" 'BEGIN { printf "%.1f", end - begin }'; }
# encoded NAME: a film from its drop to the library, without the 30 s for which it has to be unchanged; in $took and $processor.
encoded() {
    local begin before
    begin=$(now) before=$(used)
    drop "$work/film.mkv" "$1.mkv"
    wait_for 3600 "the film in the library" in_library "$1.mkv"
    took=$(minus "$(now)" "$begin") processor=$(minus "$(used)" "$before")
    took=$(minus "$took" 30)
    done=$((done + 1))
    wait_for 60 "its end" settled "$done" 0
    printf '%s: %s s, and %s s of processor; idle machines would have used %s s\n' "$1" "$took" "$processor" \
        "$(awk -v rate="$idle" -v took="$took" 'BEGIN { printf "%.1f", rate * (took + 30) }')"
}

row "four machines, three of which encode"
two_shares 1g
film "$seconds" "$work/film.mkv" 640x360
run 0 lab up --machines 4 --share "$inbox" --share "$library"
mapfile -t encoders < <(sed -n 's/^  \([a-z]*\):$/\1/p' "$inventory" | grep -v twilightsparkle)
[ "${#encoders[@]}" = 3 ]
workload "machines: [$(printf '%s, ' "${encoders[@]}" | sed 's/, $//')]" "split: 20s"
up
for file in $(groups cpu.cfs_quota_us); do echo $((percent * 1000)) > "$file"; done
[ "$(groups cpu.cfs_quota_us | wc -l)" = 3 ]
before=$(used)
sleep 30
idle=$(awk -v end="$(used)" -v begin="$before" 'BEGIN { print (end - begin) / 30 }')
done=0

row "one film on three machines, then on one of them"
encoded three
three=$took all=$processor
workload "machines: [$(printf '%s, ' "${encoders[@]}" | sed 's/, $//')]" "split: off"
up
encoded one
awk -v one="$took" -v three="$three" -v whole="$processor" -v pieces="$all" -v idle="$idle" 'BEGIN {
    printf "three machines are %.2f times as fast as one; pieces take %.1f %% more of the processor\n", one / three,
        ((pieces - idle * (three + 30)) / (whole - idle * (one + 30)) - 1) * 100 }'

printf '%d rows passed\n' "$rows"
