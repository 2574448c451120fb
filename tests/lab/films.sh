#!/bin/bash
# films.sh HOSTLER: films on the lab's real machines, as root. Inbox and library are folders of this computer on two file systems, which every
# machine sees. Each row: what is done -> what must be seen. Ends at the first failure, and takes all away in any case unless KEEP=1.
# shellcheck disable=SC2016 # backquotes are hostler's own
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"

row "folders that the owner of films can't write to are refused, and the cluster comes up all the same"
two_shares 500m
chown 0:0 "$inbox" "$library"
film 30 "$work/film.mkv" 1280x720
run 0 lab up --machines 2 --share "$inbox" --share "$library"
printf 'token-of-the-lab' > "$work/token"
chmod 600 "$work/token"
workload "plex: {url: 'http://10.77.0.1:32400', tokenFile: $work/token}"
up 3
says "can't write to the inbox"
says "chown 1000:100 $inbox"

row "up installs the workload, and ends with where to drop films"
chown 1000:100 "$inbox" "$library"
up
says "drop films into $inbox/watch/Movies; the encoded films are published to $library"
says "http://10.77.0.11:30080/#token="
token=$(grep -o 'token=[A-Za-z0-9_-]*' "$work/out" | cut -d = -f 2)
[ ${#token} -ge 32 ]
grep -rq "drop films into" "$work/state"
# Neither the log nor the plan has it.
if grep -rqF -- "$token" "$work/state" "$inventory"; then echo "the token is in a file" >&2; false; fi
empty

row "a film comes out in the library; its progress was seen, and the media server was asked, once"
cat > "$work/plex.py" << 'END'
import http.server, json, sys
class Plex(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1], "a") as log:
            log.write(f"{self.command} {self.path} {self.headers.get('X-Plex-Token')}\n")
        parts = [{"Media": [{"Part": [{"file": "/data/Movies/A Film (2009).mkv"}]}]}]
        answer = {"MediaContainer": {"Directory": [{"key": "7", "Location": [{"path": "/data/Movies"}]}], "Metadata": parts}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("10.77.0.1", 32400), Plex).serve_forever()
END
"$hostler" lab exec -- python3 "$work/plex.py" "$work/asked" &
beside+=($!)
drop "$work/film.mkv" "A Film (2009).mkv"
wait_for 120 "the encoder's progress on the page" progress
# The image has no shell: what its first process sees, as its machine sees that.
machine=$(kubectl get pods --selector transcode=encode --output 'jsonpath={.items[0].spec.nodeName}')
# shellcheck disable=SC2016 # for the machine's shell
on "$machine" 'cd "/proc/$(grep -lzx encode /proc/[0-9]*/cmdline | head -n 1 | cut -d / -f 3)" && (cd root/inbox && find . -mindepth 1 -maxdepth 2) &&
    grep " /inbox/" mountinfo | cut -d " " -f 5,6 | sed "s/,.*//"' | sed 's/-[0-9a-f]\{8\}/-ID/' | sort > "$work/seen"
sort > "$work/expected" << 'END'
./claim
./claim/a-film-2009-ID
./work
./work/a-film-2009-ID
/inbox/claim/a-film-2009-ID ro
/inbox/work/a-film-2009-ID rw
END
diff "$work/expected" "$work/seen"
wait_for 300 "the film in the library" in_library "A Film (2009).mkv"
wait_for 60 "the end of its way" settled 1 0
found=$(ffprobe -v error -show_entries stream=codec_type,codec_name,avg_frame_rate -of csv=p=0 "$library/Movies/A Film (2009).mkv")
# The first as AAC and as it was, the second as AAC.
[ "$(grep -c audio <<< "$found")" = 3 ]
[ "$(grep -c subtitle <<< "$found")" = 1 ]
grep -q 'h264,video,25/1' <<< "$found"
[ "$(ffprobe -v error -show_chapters -of csv=p=0 "$library/Movies/A Film (2009).mkv" | wc -l)" = 2 ]
ffprobe -v error -show_entries format=duration -of csv=p=0 "$library/Movies/A Film (2009).mkv" | awk '{ exit !($1 > 29 && $1 < 31) }'
cmp "$work/film.mkv" "$(find "$inbox/trash" -type f -size +1M)"
nothing_left
[ "$(stat -c %u:%g "$library/Movies/A Film (2009).mkv")" = 1000:100 ]
cat > "$work/expected" << 'END'
GET /library/sections token-of-the-lab
GET /library/sections/7/refresh?path=%2Fdata%2FMovies token-of-the-lab
END
wait_for 90 "what Plex said on record" grep -rq "Plex shows the film" "$inbox/ledger"
head -n 2 "$work/asked" | diff "$work/expected" -
[ "$(grep -c refresh "$work/asked")" = 1 ]
empty

row "looking at the page is free; acting needs the token that up printed, and the program's verbs bring it themselves"
fetch "$page/" > "$work/page"
refused() { [ "$("$hostler" lab exec -- curl --silent --output /dev/null --write-out '%{http_code}' "$@")" = 403 ]; }
refused --request POST --header "Origin: $page" "$page/pause"
refused --request POST --header "Origin: $page" --header "X-Hostler-Token: ${token}x" "$page/pause"
[ ! -e "$inbox/paused" ]
fetch --request POST --header "Origin: $page" --header "X-Hostler-Token: $token" "$page/pause"
[ -e "$inbox/paused" ]
transcode resume
[ ! -e "$inbox/paused" ]
transcode link
says "$page/#token=$token"

row "another preset counts from the next film on: dropped again, it replaces the first, once"
first=$(sha256sum < "$library/Movies/A Film (2009).mkv")
HandBrakeCLI --preset "Very Fast 480p30" --preset-export Small --preset-export-file "$work/small.json" > /dev/null 2>&1
sed -i "s|folders: {Movies: {}}|folders: {Movies: {preset: $work/small.json}}|" "$inventory"
up
says "the workload differs from the inventory"
empty
drop "$work/film.mkv" "A Film (2009).mkv"
replaced() { [ "$(sha256sum < "$1")" != "$first" ]; }
wait_for 300 "the film to be replaced" replaced "$library/Movies/A Film (2009).mkv"
wait_for 60 "the end of its way" settled 2 0
[ "$(find "$library" -type f -name '*.mkv' | wc -l)" = 1 ]
[ "$(find "$inbox/trash" -type f -size +1k | wc -l)" = 3 ]
nothing_left

row "what is no film goes to failed/, with the reason"
echo text > "$work/text.mkv"
drop "$work/text.mkv" "it's \$(reboot) a text.mkv"
wait_for 180 "its failure" settled 2 1
grep -rqi "no video\|no film\|not a film\|no picture\|nothing" "$inbox/failed" --include '*.txt'

row "watcher and encoder killed, in the middle of a film: it comes out once"
drop "$work/film.mkv" "Killed.mkv"
wait_for 120 "the encoder's progress" encoding
kubectl delete pods --selector app=watcher --grace-period 0 --force > /dev/null 2>&1
kubectl delete pods --selector transcode=encode --grace-period 0 --force > /dev/null 2>&1
wait_for 400 "the film in the library" in_library "Killed.mkv"
wait_for 60 "the end of its way" settled 3 1
[ "$(find "$library" -type f -name '*.mkv' | wc -l)" = 2 ]

row "a film in the library gets another name, in the library, on the page and on record; a name that is taken is refused"
printf '1\n00:00:01,000 --> 00:00:02,000\nmine\n' | install -o 1000 -g 100 /dev/stdin "$library/Movies/Killed.en.srt"
film=$(sha256sum < "$library/Movies/Killed.mkv")
transcode name Killed "Renamed (2010)"
says "will be named"
wait_for 120 "the new name in the library" in_library "Renamed (2010).mkv"
[ "$(sha256sum < "$library/Movies/Renamed (2010).mkv")" = "$film" ]
[ -f "$library/Movies/Renamed (2010).en.srt" ]
if in_library "Killed.mkv" || [ -e "$library/Movies/Killed.en.srt" ]; then echo "the old name is still there" >&2; false; fi
named() { transcode status && grep -q "Movies/Renamed (2010) " "$work/out" && ! grep -q "will be renamed" "$work/out"; }
wait_for 60 "the new name on the page" named
status=0
transcode name "Renamed" "A Film (2009)" || status=$?
[ "$status" = 3 ]
says "the library already has \`Movies/A Film (2009).mkv\`"
# The page itself can't write there: that is the publisher's.
kubectl get pods --selector app=page --output "'jsonpath={.items[0].spec.containers[0].volumeMounts[?(@.name==\"library\")].readOnly}'" | grep -q true
no_job_left() { ! kubectl get jobs --output name | grep -q /rename-; }
wait_for 60 "its Job to go" no_job_left
rm "$library/Movies/Renamed (2010).en.srt"
settled 3 1
nothing_left

row "a machine is cut while it encodes: the film is encoded elsewhere within 3 minutes"
kubectl cordon twilightsparkle > /dev/null
drop "$work/film.mkv" "Cut.mkv"
wait_for 120 "the encoder's progress" encoding
kubectl uncordon twilightsparkle > /dev/null
encodes_on rainbowdash
"$hostler" lab cut rainbowdash > "$work/out" 2>&1
wait_for 180 "the encoder on the other machine" encodes_on twilightsparkle
wait_for 300 "the film in the library" in_library "Cut.mkv"
run 0 lab on rainbowdash
wait_for 60 "the end of its way" settled 4 1
nothing_left
becomes_ready 2
empty

row "an original is in the library while the machines encode, and the encoded film replaces it"
film 60 "$work/longer.mkv" 1280x720
drop "$work/longer.mkv" "Busy 1.mkv"
drop "$work/longer.mkv" "Busy 2.mkv"
wait_for 120 "the encoder's progress" encoding
drop "$work/film.mkv" "Tonight.mkv"
wait_for 120 "the film to be claimed" transcode now Tonight
wait_for 240 "its original in the library" in_library "Tonight.mkv"
of() { ffprobe -v error -show_entries stream=codec_name -of csv=p=0 "$1"; }
[ "$(of "$library/Movies/Tonight.mkv")" = "$(of "$work/film.mkv")" ]
first=$(sha256sum < "$library/Movies/Tonight.mkv")
wait_for 600 "the encoded film in its place" replaced "$library/Movies/Tonight.mkv"
wait_for 120 "the end of its way" settled 7 1
nothing_left

row "without \`transcode\` the workload goes, and no film"
find "$inbox" "$library" -name '*.mkv' -o -name source | sort > "$work/before"
sed -i '/^transcode:/,$d' "$inventory"
up
says "films stay where they are"
[ -z "$(kubectl get namespace transcode --ignore-not-found)" ]
find "$inbox" "$library" -name '*.mkv' -o -name source | sort | diff "$work/before" -
empty

printf '%d rows passed\n' "$rows"
