#!/bin/bash
# films-measure.sh HOSTLER: what docs/performance.md says of films, on the lab's machines, as root: a film through everything against
# HandBrakeCLI alone on the same machine, and how fast the API server answers while all machines encode. On a computer with nothing else to do.
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"
rounds=${2:-2}

two_shares 1g
film 60 "$work/film.mkv" 1280x720
run 0 lab up --machines 2 --share "$inbox" --share "$library"
workload "machines: [rainbowdash]"
up

row "HandBrakeCLI alone, and the same film through everything"
encoder=$(on rainbowdash "ctr -n k8s.io images ls -q" | grep '/encoder:')
mkdir -p "$inbox/bare"
cp "$work/film.mkv" "$inbox/bare/"
chown -R 1000:100 "$inbox/bare"
options="--json --title 1 --format av_mkv --markers --encoder x264 --encoder-preset slow --encoder-profile high --encoder-level 4.0 --encoder-tune film
    --quality 20 --cfr --maxWidth 1920 --maxHeight 1080 --comb-detect --decomb --audio 1,1,2 --aencoder av_aac,copy:ac3,av_aac
    --subtitle 1"
now() { date +%s.%N; }
# minus END BEGIN [MORE]: seconds.
minus() { awk -v end="$1" -v begin="$2" -v more="${3:-0}" 'BEGIN { printf "%.1f", end - begin - more }'; }
for round in $(seq "$rounds"); do
    begin=$(now)
    # shellcheck disable=SC2086 # several words
    on rainbowdash "ctr -n k8s.io run --rm --mount type=bind,src=$inbox/bare,dst=/films,options=rbind:rw $encoder bare HandBrakeCLI" $options \
        --input /films/film.mkv --output /films/out.mkv > "$work/bare.log" 2>&1 < /dev/null
    bare=$(minus "$(now)" "$begin")
    grep -q '"Error": 0' "$work/bare.log"
    begin=$(now)
    drop "$work/film.mkv" "round $round.mkv"
    wait_for 900 "the film in the library" in_library "round $round.mkv"
    # The time for which a film has to be unchanged apart.
    whole=$(minus "$(now)" "$begin" 30)
    wait_for 60 "its end" settled "$round" 0
    took=$(sed -n 's/.*"took": *\([0-9.]*\).*/\1/p' "$inbox"/ledger/round-"$round"-*.json)
    printf 'round %s: HandBrakeCLI alone %s s; through everything %s s (encoding, with both scans, %.1f s): %s s more, where 5 %% + 10 s are %s\n' "$round" "$bare" \
        "$whole" "$took" "$(minus "$whole" "$bare")" "$(awk -v bare="$bare" 'BEGIN { printf "%.1f", bare * 0.05 + 10 }')"
done

row "the API server while nothing is encoded, and while all machines encode"
cat > "$work/api.py" << 'PYTHON'
"""Latencies of reads and of writes, which etcd puts on the disk, over one connection: 20 a second for half a minute."""
import base64, http.client, json, re, ssl, sys, tempfile, time
text = open(sys.argv[1]).read()
def file(key):
    held = tempfile.NamedTemporaryFile(delete=False)
    held.write(base64.b64decode(re.search(key + r": (\S+)", text).group(1)))
    held.close()
    return held.name
context = ssl.create_default_context(cafile=file("certificate-authority-data"))
context.load_cert_chain(file("client-certificate-data"), file("client-key-data"))
context.check_hostname = False
connection = http.client.HTTPSConnection("10.77.0.11", 6443, context=context)
def ask(method, path, body=None, kind="application/json"):
    begin = time.monotonic()
    connection.request(method, path, body and json.dumps(body), {"Content-Type": kind})
    answer = connection.getresponse()
    answer.read()
    assert answer.status < 300 or answer.status == 409, answer.status
    return (time.monotonic() - begin) * 1000
maps = "/api/v1/namespaces/default/configmaps"
ask("POST", maps, {"metadata": {"name": "latency"}})
reads, writes = [], []
for number in range(600):
    begin = time.monotonic()
    if number % 2:
        reads.append(ask("GET", "/api/v1/nodes"))
    else:
        writes.append(ask("PATCH", maps + "/latency", {"data": {"number": str(number)}}, "application/merge-patch+json"))
    time.sleep(max(0, 0.05 - (time.monotonic() - begin)))
for name, found in (("reads", reads), ("writes", writes)):
    found.sort()
    print(f"{sys.argv[2]}: {name}: median {found[len(found) // 2]:.1f} ms, p99 {found[len(found) * 99 // 100]:.1f} ms, most {found[-1]:.1f} ms")
PYTHON
api() { "$hostler" lab exec -- python3 "$work/api.py" "$work/kubeconfig" "$1"; }
api "nothing is encoded"
workload
up
film 60 "$work/long.mkv" 1920x1080
for number in 1 2 3; do drop "$work/long.mkv" "long $number.mkv"; done
both() { [ "$(kubectl get pods --selector transcode=encode --field-selector status.phase=Running --no-headers 2> /dev/null | wc -l)" = 2 ] && progress; }
wait_for 300 "both machines to encode" both
api "both machines encode"
both

printf '%d rows passed\n' "$rows"
