#!/bin/bash
# films-pieces.sh HOSTLER: one film on three of the lab's real machines at once, as root: planned, encoded in pieces, joined, also when one of the
# machines loses its power meanwhile. The number of each picture is in the picture, as sixteen black and white squares. Each row: what is done
# -> what must be seen. Ends at the first failure, and takes all away in any case unless KEEP=1.
lab=${HOSTLER_LAB:-pieces}
export HOSTLER_LAB=$lab
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"

# coded SECONDS FILE: 25 pictures a second, and a beep each second.
coded() {
    ffmpeg -v error -nostdin -y -f lavfi -i "testsrc2=s=640x360:r=25:d=$1" -f lavfi \
        -i "aevalsrc='0.4*sin(6283*t)*lt(mod(t,1),0.05)+0.02*sin(1382*t)':s=48000:d=$1" \
        -vf "geq=lum='if(lt(Y,16)*lt(X,256),if(bitand(N,pow(2,floor(X/16))),235,16),lum(X,Y))':cb='if(lt(Y,8)*lt(X,128),128,cb(X,Y))':cr='if(lt(Y,8)*lt(X,128),128,cr(X,Y))',format=yuv420p" \
        -c:v libx264 -preset ultrafast -x264-params open-gop=1 -c:a ac3 -metadata:s:a:0 language=eng "$2"
}
# in_order FILM PICTURES: it has so many, each once and in its place.
in_order() {
    ffmpeg -v error -nostdin -i "$1" -map 0:v:0 -fps_mode passthrough -vf crop=256:16:0:0,format=gray -f rawvideo - | python3 -c '
import sys
data, size = sys.stdin.buffer.read(), 256 * 16
numbers = [sum(1 << bit for bit in range(16) if data[at + 8 * 256 + bit * 16 + 8] > 128) for at in range(0, len(data), size)]
sys.exit(numbers != list(range(int(sys.argv[1]))) and f"{len(numbers)} pictures, not in their order")' "$2"
}
# record FILM KEY: of the ledger of a film that is done.
record() {
    python3 -c 'import json, sys
for name in sys.argv[3:]:
    film = json.load(open(name))
    if film["path"] == "Movies/" + sys.argv[1]:
        print(film["stage"].get(sys.argv[2], ""))' "$1" "$2" "$inbox"/ledger/*.json
}
# A piece on each machine.
pieces_begun() { fetch "$page/api/status" > "$work/status" && grep -q "in 3 pieces" "$work/status" && encodes_on twilightsparkle && encodes_on rainbowdash && encodes_on fluttershy; }

row "a film in an empty queue is encoded in three pieces, on three machines, and no picture is lost or doubled"
two_shares 500m
coded 120 "$work/film.mkv"
run 0 lab up --machines 3 --share "$inbox" --share "$library"
chown 1000:100 "$inbox" "$library"
workload "split: 10s"
up
drop "$work/film.mkv" "One.mkv"
wait_for 300 "three pieces on three machines" pieces_begun
transcode status
says "in 3 pieces, "
wait_for 900 "the film in the library" in_library "One.mkv"
wait_for 60 "the end of its way" settled 1 0
[ "$(record One.mkv machine)" = "fluttershy, rainbowdash, twilightsparkle" ]
in_order "$library/Movies/One.mkv" 3000
nothing_left

row "a piece whose machine loses its power is encoded on another one; the others continue"
drop "$work/film.mkv" "Two.mkv"
wait_for 300 "three pieces on three machines" pieces_begun
wait_for 120 "progress" progress
"$hostler" lab cut rainbowdash > "$work/out" 2>&1
wait_for 900 "the film in the library" in_library "Two.mkv"
wait_for 60 "the end of its way" settled 2 0
in_order "$library/Movies/Two.mkv" 3000
if grep -q "encoded in one piece" "$inbox"/ledger/two-*.json; then echo "its pieces were discarded" >&2; false; fi
nothing_left

printf '%d rows passed\n' "$rows"
