#!/bin/bash
# films-odd.sh HOSTLER: films with odd names, and files that are no films or broken ones, each to its end on the lab's machines; and what can
# be set of the workload beside the usual. As root. Each row: what is done -> what must be seen. Ends at the first failure.
# shellcheck disable=SC2016 # backquotes and dollars are names of films
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"

row "the lab's machines, with one that encodes, messages for somebody, and a media server in a container"
mkdir -p "$inbox" "$library" "$work/made"
chmod 755 "$work" "$shares"
mount -t tmpfs -o size=500m,mode=755 hostler-films "$library"
# A loop device: its few gigabytes are little room for films, which somebody is to hear of.
truncate -s 7G "$work/inbox.ext4"
mkfs.ext4 -q -O ^has_journal "$work/inbox.ext4"
mount -o loop "$work/inbox.ext4" "$inbox"
chown 1000:100 "$inbox" "$library"
run 0 lab up --machines 2 --share "$inbox" --share "$library"
printf 'token-of-the-lab' > "$work/token"
chmod 600 "$work/token"
cat > "$work/stand-in.py" << 'PYTHON'
"""A media server and a topic for news: both answer yes, and write down what they were told."""
import http.server, sys, threading
def serve(port, log):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            with open(log, "a") as file:
                file.write(f"{self.path} {self.headers.get('Title') or self.headers.get('Authorization')} {body}\n")
            self.send_response(204)
            self.end_headers()
        do_GET = do_POST
        def log_message(self, *words):
            pass
    http.server.ThreadingHTTPServer(("10.77.0.1", port), Handler).serve_forever()
threading.Thread(target=serve, args=(8096, sys.argv[1])).start()
serve(8090, sys.argv[2])
PYTHON
"$hostler" lab exec -- python3 "$work/stand-in.py" "$work/jellyfin" "$work/news" &
beside+=($!)
jellyfin="jellyfin: {url: 'http://10.77.0.1:8096/behind', tokenFile: $work/token, libraryAsSeen: /data/films}"
# By a name that only the cluster knows.
news="notify: {url: 'http://news.transcode.svc.cluster.local:8090/films-of-ada'}"
# The encoder's image is made where Debian's packages can be reached.
workload "machines: [rainbowdash]" "$news"
up
workload "machines: [rainbowdash]" "$jellyfin" "$news"
# From where the media server can be asked.
run 0 lab exec -- "$hostler" up -i "$inventory" --yes --kubeconfig "$work/kubeconfig"
says "Jellyfin answers at http://10.77.0.1:8096/behind"
on twilightsparkle 'kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f -' > /dev/null << 'YAML'
apiVersion: v1
kind: Service
metadata: {name: news, namespace: transcode}
spec: {ports: [{port: 8090}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: news, namespace: transcode, labels: {kubernetes.io/service-name: news}}
addressType: IPv4
endpoints: [{addresses: [10.77.0.1]}]
ports: [{port: 8090}]
YAML

row "a sample goes through everything, on the machine that encodes; the media server hears of it by its own path"
transcode test
says "the sample is in the library as Movies/hostler test"
says "encoded on rainbowdash"
# Films of one folder are told together, a while after the first. Kubernetes takes up to two minutes to bring the token to the pod.
wait_for 240 "the media server to hear of it" grep -q '^/behind/Library/Media/Updated MediaBrowser Token="token-of-the-lab" {"Updates":\[{"Path":"/data/films/Movies/hostler test .*.mkv","UpdateType":"Created"}\]}$' "$work/jellyfin"

row "a quota keeps the status page's pod out: it is named, and without it the page is back"
kubectl --namespace transcode create quota none --hard pods=0 > /dev/null
kubectl --namespace transcode delete deployment page > /dev/null
up 1
says "can't be created: "
says "exceeded quota"
kubectl --namespace transcode delete quota none > /dev/null
up
empty

row "somebody hears that there is little room in inbox and library"
heard() { grep -q -- "$1" "$work/news"; }
wait_for 60 "the message" heard "^/films-of-ada disk space is low the inbox has .* of .* free"
wait_for 60 "the message" heard "^/films-of-ada disk space is low the library has .* of .* free"

row "outside the hours nothing is begun"
hour=$(on twilightsparkle date +%H)
workload "$jellyfin" "$news" "hours: '$(printf '%02d:00-%02d:00' $(((10#$hour + 3) % 24)) $(((10#$hour + 4) % 24)))'"
up
# Its subtitles end at 3 s.
film 4 "$work/film.mkv" 320x180
# The pods see a changed ConfigMap within two minutes.
outside() { fetch "$page/api/status" > "$work/status" && grep -q 'waiting: films are encoded only during the hours' "$work/status"; }
wait_for 150 "the hours on the page" outside
drop "$work/film.mkv" "hours.mkv"
waits_for() { transcode status && grep -q -- "$1" "$work/out"; }
wait_for 60 "the film in the queue" waits_for "Movies/hours.mkv: waiting: films are encoded only during the hours"
workload "$jellyfin" "$news" "originals: {keep: 2d, atMost: 1GB}"
up
wait_for 150 "the film in the library" in_library hours.mkv

row "while paused nothing is begun; resumed, it goes on"
transcode pause
drop "$work/film.mkv" "paused.mkv"
wait_for 120 "the film in the queue" waits_for "Movies/paused.mkv: paused"
transcode resume
wait_for 60 "the film in the library" in_library paused.mkv

row "what is in the trash leaves it by size, the oldest first; an original that nothing is known of stays"
wait_for 30 "the end of its way" settled 3 0
# Sparse: a size is all that counts. By age, nothing goes that a watcher has known for less than an hour: a unit test's.
for entry in "big-00000002 600M 1" "bigger-00000003 900M 0"; do
    read -r name size days <<< "$entry"
    mkdir "$inbox/trash/$name.1.replaced"
    truncate -s "$size" "$inbox/trash/$name.1.replaced/film.mkv"
    chown -R 1000:100 "$inbox/trash/$name.1.replaced"
    touch -d "$days days ago" "$inbox/trash/$name.1.replaced"
done
mkdir "$inbox/trash/unknown-00000004.1.original"
echo film > "$inbox/trash/unknown-00000004.1.original/film.mkv"
chown -R 1000:100 "$inbox/trash/unknown-00000004.1.original"
touch -d "900 days ago" "$inbox/trash/unknown-00000004.1.original"
kubectl delete pods --selector app=watcher > /dev/null
trash() { find "$inbox/trash" -mindepth 1 -maxdepth 1 -printf '%f\n' | sed 's/\..*//' | sort | tr '\n' ' '; }
left() { ! [[ "$(trash)" =~ big-0 ]]; }
wait_for 90 "the older one to go" left
grep -q 'bigger-00000003' <<< "$(trash)"
grep -q 'unknown-00000004' <<< "$(trash)"
[ "$(find "$inbox/trash" -name '*.mkv' | wc -l)" = 5 ]
rm -r "$inbox/trash/bigger-00000003.1.replaced" "$inbox/trash/unknown-00000004.1.original"

row "redo encodes a film again from the trash and replaces it; without its original it is refused"
before=$(stat -c %i "$library/Movies/hours.mkv")
transcode redo hours
again() { [ "$(stat -c %i "$library/Movies/hours.mkv")" != "$before" ] && settled 3 0; }
wait_for 90 "the film to be replaced" again
rm -r "$inbox"/trash/paused-*.original
status=0
transcode redo paused || status=$?
[ "$status" = 3 ]
says "original is no longer in the trash"

row "told to, it takes what is in the library for the original"
before=$(sha256sum < "$library/Movies/paused.mkv")
transcode redo paused --from-library
another() { [ "$(sha256sum < "$library/Movies/paused.mkv")" != "$before" ] && settled 4 0; }
wait_for 120 "the film to be replaced" another
[ "$(find "$inbox/trash" -name paused.mkv -exec sha256sum {} + | cut -d ' ' -f 1 | uniq -c | awk '{ print $1 }')" = 2 ]

row "names are only names: all of these at once"
long=$(printf 'x%.0s' {1..246})
names=(-rf.mkv "it's Ocean's \"Eleven\".mkv" '$(reboot).mkv' '`reboot`; & | * > x.mkv' $'two\nlines.mkv' "🎬 Amélie.mkv" "  spaces  .mkv"
    "(500) Days of Summer (2009)/(500) Days of Summer.mkv" a/trailer.mkv b/trailer.mkv "$long.mkv" 'a: {b}, [c] # d.mkv' $'not-utf-8-\xff.mkv'
    '%2e%2e.mkv' '<b>&amp;.mkv' "Season 1/Disc 2/-1.mkv")
number=0
for name in "${names[@]}"; do
    number=$((number + 1))
    # Each another film, so that none can stand for another.
    ffmpeg -v error -y -i "$work/film.mkv" -map 0 -c copy -metadata title="number $number" "$work/made/$number.mkv" < /dev/null
    drop "$work/made/$number.mkv" "$name"
done
wait_for 420 "all of them to be done" settled $((4 + ${#names[@]})) 0
for name in "${names[@]}"; do
    in_library "$name" || { printf 'not in the library: %q\n' "$name" >&2; exit 1; }
done
[ "$(find "$library" -type f -name '*.mkv' -printf x | wc -c)" = $((3 + ${#names[@]})) ]
for number in $(seq ${#names[@]}); do
    find "$inbox/trash" -type f -size "$(stat -c %s "$work/made/$number.mkv")c" -exec cmp -s "$work/made/$number.mkv" {} \; -print |
        grep -q . || { echo "the original of number $number is not in the trash" >&2; exit 1; }
done
nothing_left
done=$((4 + ${#names[@]}))

row "two films of one name at once, as .mp4 and as .mkv, one of them silent: one after the other, and both stay"
cp "$work/film.mkv" "$work/made/twin.mkv"
ffmpeg -v error -y -f lavfi -i testsrc2=size=320x180:rate=25:duration=3 -c:v libx264 -preset ultrafast "$work/made/twin.mp4" < /dev/null
drop "$work/made/twin.mp4" twin.mp4
drop "$work/made/twin.mkv" twin.mkv
wait_for 180 "both to be done" settled $((done + 2)) 0
done=$((done + 2))
[ "$(find "$library" -name 'twin*' | wc -l)" = 2 ]
in_library "twin (2).mkv"

row "broken films and what is none: each goes to failed/ with its reason, byte for byte"
film 10 "$work/ten.mkv" 640x360
size=$(stat -c %s "$work/ten.mkv")
made=$work/made
head -c $((size / 3)) "$work/ten.mkv" > "$made/truncated.mkv"
cp "$work/ten.mkv" "$made/corrupt.mkv"
dd if=/dev/zero of="$made/corrupt.mkv" bs=4096 seek=$((size / 3 / 4096)) count=$((size / 3 / 4096)) conv=notrunc status=none
ffmpeg -v error -y -f lavfi -i sine=440:duration=5 -c:a ac3 "$made/sound.mkv" < /dev/null
: > "$made/empty.mkv"
yes 'This is no film.' | head -n 1000 > "$made/text.mkv" || true
cp "$work/film.mkv" "$made/denied.mkv"
failures=(truncated:"damaged or truncated" corrupt:"damaged or truncated" sound:"the file has sound, but no picture" empty:"the file is empty"
    text:"the file is not a film" denied:"permission denied: user 1000, set by")
for failure in "${failures[@]}"; do
    drop "$made/${failure%%:*}.mkv" "${failure%%:*}.mkv"
done
chown root:root "$inbox/watch/Movies/denied.mkv"
chmod 000 "$inbox/watch/Movies/denied.mkv"
ln -s /etc/shadow "$inbox/watch/Movies/link.mkv"
ln -s /etc "$inbox/watch/Movies/folder.mkv"
wait_for 240 "all of them to fail" settled "$done" 8
for failure in "${failures[@]}"; do
    name=${failure%%:*}
    text=$(grep -l "^Movies/$name.mkv$" "$inbox"/failed/*.txt)
    grep -qF -- "${failure#*:}" "$text"
    cmp "$made/$name.mkv" "${text%.txt}/$name.mkv"
done
grep -q "the file is a symbolic link" "$inbox"/failed/link-*.txt
[ -L "$(echo "$inbox"/failed/link-*/link.mkv)" ]
nothing_left
[ "$(find "$library" -type f -name '*.mkv' -printf x | wc -c)" = $((done - 1)) ]
wait_for 60 "somebody to hear of it" heard "^/films-of-ada a film could not be encoded Movies/corrupt.mkv: the original is damaged"

row "what was in the way is put right: tried again, it comes out"
chmod 644 "$inbox"/failed/denied-*/denied.mkv
transcode retry denied
wait_for 90 "the film in the library" in_library denied.mkv
wait_for 30 "its end" settled $((done + 1)) 7
done=$((done + 1))

row "films of other kinds: interlaced, silent, a hard link, a DVD's folder, and its image"
ffmpeg -v error -y -f lavfi -i testsrc2=size=352x288:rate=50:duration=3 -f lavfi -i sine=440:duration=3 -vf tinterlace=mode=interleave_top,fieldorder=tff \
    -r 25 -c:v mpeg2video -flags +ildct+ilme -top 1 -b:v 3M -c:a ac3 "$made/interlaced.mkv" < /dev/null
ffmpeg -v error -y -f lavfi -i testsrc2=size=320x180:rate=25:duration=3 -c:v libx264 -preset ultrafast "$made/silent.mkv" < /dev/null
cp "$work/film.mkv" "$inbox/mine.mkv"
chown 1000:100 "$inbox/mine.mkv"
for seconds in 11 15; do
    ffmpeg -v error -y -f lavfi -i "testsrc2=size=720x576:rate=25:duration=$seconds" -f lavfi -i "sine=440:duration=$seconds" -target pal-dvd \
        "$made/$seconds.mpg" < /dev/null
done
export VIDEO_FORMAT=PAL
{
    dvdauthor -o "$made/disc" -t "$made/11.mpg"
    dvdauthor -o "$made/disc" -t "$made/15.mpg"
    dvdauthor -o "$made/disc" -T
    genisoimage -quiet -dvd-video -o "$made/image.iso" "$made/disc"
} > "$work/dvd.log" 2>&1
drop "$made/interlaced.mkv" interlaced.mkv
drop "$made/silent.mkv" silent.mkv
ln "$inbox/mine.mkv" "$inbox/watch/Movies/hard link.mkv"
drop "$made/image.iso" "From an image.iso"
mkdir -p "$inbox/watch/Movies/Mr. Bean"
cp -r "$made/disc/VIDEO_TS" "$inbox/watch/Movies/Mr. Bean/"
chown -R 1000:100 "$inbox/watch/Movies/Mr. Bean"
wait_for 300 "all of them to be done" settled $((done + 5)) 7
done=$((done + 5))
probe() { ffprobe -v error -show_entries "$1" -of csv=p=0 "$library/Movies/$2" < /dev/null; }
[ "$(probe stream=codec_type,field_order interlaced.mkv | grep video)" = video,progressive ]
[ "$(probe stream=codec_type silent.mkv)" = video ]
in_library "hard link.mkv"
cmp "$work/film.mkv" "$inbox/mine.mkv"
# Both titles are of a film's length.
for place in "From an image" "Mr. Bean/Mr. Bean"; do
    probe format=duration "$place - title 01.mkv" | awk '{ exit !($1 > 10 && $1 < 12) }'
    probe format=duration "$place - title 02.mkv" | awk '{ exit !($1 > 14 && $1 < 16) }'
done

row "a copy that stalls for a minute is taken whole, and so is one in a folder that is renamed while it is copied"
mkdir "$inbox/watch/Movies/before"
exec 5> "$inbox/watch/Movies/stalls.mkv" 6> "$inbox/watch/Movies/before/renamed.mkv"
chown -R 1000:100 "$inbox/watch/Movies"
head -c $((size / 2)) "$work/ten.mkv" >&5
head -c $((size / 2)) "$work/ten.mkv" >&6
mv "$inbox/watch/Movies/before" "$inbox/watch/Movies/after"
tail -c +$((size / 2 + 1)) "$work/ten.mkv" >&6
exec 6>&-
# Longer than a film has to be unchanged: half of it is claimed, and found wanting.
sleep 65
tail -c +$((size / 2 + 1)) "$work/ten.mkv" >&5
exec 5>&-
wait_for 240 "both to be done" settled $((done + 2)) 7
done=$((done + 2))
for name in stalls after/renamed; do
    probe format=duration "$name.mkv" | awk '{ exit !($1 > 9.5 && $1 < 10.5) }'
done
[ ! -e "$library/Movies/before" ]
nothing_left

row "what is no film stays where it is, and a film in no folder is told of"
touch "$inbox/watch/Movies/cover.jpg" "$inbox/watch/Movies/film.nfo" "$inbox/watch/Movies/.hidden.mkv" "$inbox/watch/Movies/film.mkv.part"
cp "$work/film.mkv" "$inbox/watch/loose.mkv"
wait_for 60 "the page to tell" waits_for "loose.mkv: the film is not in a folder"
settled "$done" 7
[ "$(find "$inbox/watch" -type f | wc -l)" = 5 ]
rm "$inbox/watch/loose.mkv"

row "another encoder's image is used from the next film on"
encoder=$(on rainbowdash "ctr -n k8s.io images ls -q" | grep '/encoder:')
for machine in twilightsparkle rainbowdash; do
    on "$machine" "ctr -n k8s.io images tag $encoder registry.example.org/handbrake:1" > /dev/null
done
workload "$jellyfin" "$news" "image: registry.example.org/handbrake:1"
up
says "the workload differs from the inventory"
uses() { kubectl get configmap settings -o yaml | grep -q 'image: .*registry.example.org/handbrake:1'; }
uses
drop "$work/film.mkv" "another image.mkv"
of_image() { kubectl get pods --selector transcode=encode -o "jsonpath={.items[*].spec.containers[0].image}" | grep -q registry.example.org; }
# Until the pods see it, films are encoded with the old one.
until wait_for 60 "a pod with that image" of_image; do
    [ $((tries = ${tries:-0} + 1)) -lt 4 ]
    drop "$work/film.mkv" "another image $tries.mkv"
done

row "a machine stopped reporting: somebody hears of it, and that it is back"
"$hostler" lab cut rainbowdash > "$work/out" 2>&1
wait_for 240 "the message" heard "^/films-of-ada a machine stopped reporting rainbowdash"
run 0 lab on rainbowdash
wait_for 120 "the message" heard "^/films-of-ada a machine is back rainbowdash"
[ "$(grep -c "a machine stopped reporting rainbowdash" "$work/news")" -le 2 ]

printf '%d rows passed\n' "$rows"
