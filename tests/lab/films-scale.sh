#!/bin/bash
# films-scale.sh HOSTLER [SECONDS]: a thousand films in the queue of three machines, as root: how much memory the watcher needs, and for how
# much of the time each machine encodes. Films are small, and take about a minute each, all three machines on one computer.
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"
seconds=${2:-480}

two_shares 1g
run 0 lab up --machines 3 --share "$inbox" --share "$library"
workload "machines: [twilightsparkle, rainbowdash, fluttershy]"
up
film 40 "$work/film.mkv" 1280x720

row "a thousand films are taken up"
for number in $(seq 1000); do install -o 1000 -g 100 "$work/film.mkv" "$inbox/watch/Movies/film $number.mkv"; done
dropped=$(date +%s)
mine() {
    local pid
    for pid in $(pgrep "$@"); do
        ! grep -q "lab[/-]$lab-" "/proc/$pid/cgroup" 2> /dev/null || echo "$pid"
    done
}
claimed() { [ "$(find "$inbox/claim" "$library" -type f | wc -l)" -ge 1000 ]; }
wait_for 300 "all of them to be claimed" claimed
printf 'claimed after %d s\n' $(($(date +%s) - dropped))

row "the watcher's memory, and how busy the machines are"
encodes() { [ "$(mine -x HandBrakeCLI | wc -l)" = 3 ]; }
wait_for 120 "three encoders" encodes
until=$(($(date +%s) + seconds))
looks=0 busy=0
while [ "$(date +%s)" -lt "$until" ]; do
    looks=$((looks + 1))
    busy=$((busy + $(mine -x HandBrakeCLI | wc -l)))
    sleep 0.5
done
watcher=$(mine -f 'hostler transcode watch --inbox' | head -n 1)
memory=$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$watcher/status")
page=$(mine -f 'hostler transcode page --inbox' | head -n 1)
done=$(find "$library" -name '*.mkv' | wc -l)
percent=$((busy * 100 / looks / 3))
printf 'the watcher has needed %d MB at most, the page %d MB; %d films are done; the encoders were busy for %d %% of %d s\n' "$memory" \
    "$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$page/status")" "$done" "$percent" "$seconds"
[ "$memory" -lt 100 ]
[ "$percent" -ge 90 ]

printf '%d rows passed\n' "$rows"
