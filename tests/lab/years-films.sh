#!/bin/bash
# years-films.sh HOSTLER: a machine that encodes a film is rebooted, and all are shut down, on the lab's real machines, as root. As
# films-stage.sh says.
# shellcheck disable=SC2016 # backquotes are hostler's own
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"

# cordoned COUNT: so many nodes are.
cordoned() { [ "$(kubectl get nodes --no-headers | grep -c SchedulingDisabled)" = "$1" ]; }
# encoder: the machine that encodes.
encoder() { kubectl get pods --selector transcode=encode --field-selector status.phase=Running --output "'jsonpath={.items[0].spec.nodeName}'"; }
is_off() { "$hostler" lab list | awk -v name="$1" '$1 == name { print $4 }' | grep -qx off; }

row "two machines and the workload"
two_shares 500m
film 60 "$work/film.mkv" 1280x720
run 0 lab up --machines 2 --share "$inbox" --share "$library"
# shellcheck disable=SC2119 # no further lines
workload
up
empty

row "a reboot waits for the film that is being encoded there"
drop "$work/film.mkv" "Waited For.mkv"
wait_for 180 "the encoder's progress on the page" encoding
machine=$(encoder)
begin reboot "$machine" -i "$inventory" --yes
comes_to_say "the film that is being encoded on $machine"
encodes_on "$machine"
cordoned 1
if in_library "Waited For.mkv"; then echo "it already exists" >&2; false; fi
ends 0
grep -o "the film that is being encoded on $machine.*" "$work/out" | sort | uniq -c | head -n 3
says "reboot, and wait until the node is Ready  done"
cordoned 0
wait_for 120 "the film in the library" in_library "Waited For.mkv"
wait_for 60 "the end of its way" settled 1 0
empty

row "with --now it does not wait, and the film comes out nevertheless"
drop "$work/film.mkv" "Let Go.mkv"
wait_for 180 "the encoder's progress on the page" encoding
machine=$(encoder)
run 0 reboot "$machine" --now -i "$inventory" --yes
says_not "being encoded"
wait_for 300 "the film in the library" in_library "Let Go.mkv"
wait_for 60 "the end of its way" settled 2 0
nothing_left

row "a shutdown waits for the film, too; after start, the next film comes out"
drop "$work/film.mkv" "Before.mkv"
wait_for 180 "the encoder's progress on the page" encoding
run 0 shutdown -i "$inventory" --yes
says "the film that is being encoded on"
is_off twilightsparkle
is_off rainbowdash
"$hostler" lab on > /dev/null 2>&1
run 0 start -i "$inventory" --yes
cordoned 0
wait_for 180 "the film in the library" in_library "Before.mkv"
drop "$work/film.mkv" "After.mkv"
wait_for 300 "the film in the library" in_library "After.mkv"
wait_for 60 "the end of its way" settled 4 0
empty

printf '%d rows passed\n' "$rows"
