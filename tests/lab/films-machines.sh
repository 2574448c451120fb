#!/bin/bash
# films-machines.sh HOSTLER: which machine encodes a film, on the lab's real machines, as root: by its hours, by its encoders, or not at all. Each
# row: what is done -> what must be seen. Ends at the first failure, and takes all away in any case unless KEEP=1.
lab=${HOSTLER_LAB:-encoders}
export HOSTLER_LAB=$lab
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"

# machines NAME=VALUE...: the lab's inventory with the workload, and `encode` of these machines.
machines() {
    local given
    # shellcheck disable=SC2119 # it has no lines of its own
    workload
    for given in "$@"; do
        sed -i "s|^  ${given%%=*}:\$|&\n    encode: ${given#*=}|" "$inventory"
    done
}
# done_on FILM: the machine that encoded it, by the ledger.
done_on() {
    python3 -c 'import json, sys
for name in sys.argv[2:]:
    film = json.load(open(name))
    if film["path"] == "Movies/" + sys.argv[1]:
        print(film["stage"].get("machine", ""))' "$1" "$inbox"/ledger/*.json
}
# shows TEXT: on the page.
shows() { fetch "$page/" | grep -qF -- "$1"; }
# in_hours FROM TO: `HH:MM-HH:MM`, so many hours from now, by the machines' clock.
in_hours() { printf '%s-%s' "$(on twilightsparkle date -d "'$1 hours'" +%H:%M)" "$(on twilightsparkle date -d "'$2 hours'" +%H:%M)"; }

row "a machine that encodes nothing is not sent the encoder, and a folder whose encoder no machine has is refused before anything is done"
two_shares 500m
film 20 "$work/film.mkv" 640x360
ffmpeg -v error -y -f lavfi -i "testsrc2=size=640x360:rate=25:duration=10" -f lavfi -i "sine=440:duration=10" -pix_fmt yuv420p10le -c:v libx265 \
    -preset ultrafast -x265-params "log-level=error:hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc" -color_primaries bt2020 \
    -color_trc smpte2084 -colorspace bt2020nc -c:a aac -metadata:s:a:0 language=eng "$work/hdr.mkv" < /dev/null
run 0 lab up --machines 2 --share "$inbox" --share "$library"
chown 1000:100 "$inbox" "$library"
machines 'twilightsparkle={encoders: [x264]}' 'rainbowdash=false'
run 2 plan -i "$inventory"
says "no machine encodes with x265"
machines rainbowdash=false
up
if on rainbowdash crictl images | grep encoder; then echo "the encoder was sent to it" >&2; false; fi
drop "$work/film.mkv" "One.mkv"
wait_for 300 "the film in the library" in_library "One.mkv"
wait_for 60 "the end of its way" settled 1 0
[ "$(done_on One.mkv)" = twilightsparkle ]
wait_for 30 "the machines on the page" shows twilightsparkle
if shows rainbowdash; then echo "a machine that encodes nothing is on the page" >&2; false; fi
empty

row "outside its hours a machine gets no film, although it is idle; when they begin, a film that waits is given to it"
machines "rainbowdash={hours: \"$(in_hours 3 4)\"}"
up
says "the workload differs from the inventory"
empty
wait_for 60 "its hours on the page" shows "outside its hours"
for film in Two Three; do drop "$work/film.mkv" "$film.mkv"; done
wait_for 400 "the second one in the library" in_library "Two.mkv"
wait_for 400 "the third one in the library" in_library "Three.mkv"
wait_for 60 "the end of their way" settled 3 0
[ "$(done_on Two.mkv)$(done_on Three.mkv)" = twilightsparkletwilightsparkle ]
transcode status
says "outside its hours"
machines "rainbowdash={hours: \"$(in_hours 3 4)\"}" "twilightsparkle={hours: \"$(in_hours 3 4)\"}"
up
drop "$work/film.mkv" "Four.mkv"
wait_for 120 "the film to wait" shows "each machine encodes only during its hours"
if kubectl get jobs --no-headers 2> /dev/null | grep encode; then echo "it has a Job" >&2; false; fi
machines "rainbowdash={hours: \"$(in_hours -1 3)\"}" "twilightsparkle={hours: \"$(in_hours 3 4)\"}"
up
wait_for 400 "the film in the library" in_library "Four.mkv"
wait_for 60 "the end of its way" settled 4 0
[ "$(done_on Four.mkv)" = rainbowdash ]

row "a film whose encoder a machine may not use is encoded on another one, and that is no fault of the film"
machines 'twilightsparkle={encoders: [x264]}'
up
kubectl cordon rainbowdash > /dev/null
drop "$work/hdr.mkv" "HDR.mkv"
given_back() { grep -q '"needs": "x265"' "$inbox"/ledger/hdr-*.json; }
wait_for 180 "the film to be given back" given_back
grep -q "twilightsparkle does not encode with x265, which the film needs" "$inbox"/ledger/hdr-*.json
drop "$work/film.mkv" "Five.mkv"
wait_for 300 "a film behind it, on the other machine" in_library "Five.mkv"
kubectl uncordon rainbowdash > /dev/null
wait_for 400 "the film in the library" in_library "HDR.mkv"
wait_for 60 "the end of their way" settled 6 0
[ "$(done_on HDR.mkv)" = rainbowdash ]
[ "$(done_on Five.mkv)" = twilightsparkle ]
grep -q '"counted": 0' "$inbox"/ledger/hdr-*.json
nothing_left
empty

row "a render node reaches encoders' pods as the films' owner, without privilege; each machine tries its encoders, and its node and the page say which ones work"
# fuse's numbers: a device that no pod gets by itself.
on rainbowdash 'mkdir -p /dev/dri && mknod -m 660 /dev/dri/renderD128 c 10 229 && chgrp 4242 /dev/dri/renderD128'
quick_sync() {
    workload "encoder: $1"
    up
}
encoders_of() { kubectl get node "$1" --output 'jsonpath={.metadata.labels}' | grep -o '"hostler/encoders":"[^"]*"' | cut -d '"' -f 4; }
quick_sync auto
says "the encoders on rainbowdash have not been tested"
says "and label node rainbowdash with the encoders that work"
says "the encoders on twilightsparkle have not been tested"
[ "$(encoders_of rainbowdash)" = x264.x265.svt_av1 ]
[ "$(encoders_of twilightsparkle)" = x264.x265.svt_av1 ]
if kubectl get pods --no-headers 2> /dev/null | grep prove-; then echo "the pod is still there" >&2; false; fi
wait_for 90 "what works on the page" shows "x264, x265, svt_av1"
transcode status
says "x264, x265, svt_av1"
run 0 plan -i "$inventory"
says "rainbowdash: films are encoded on the CPU"
says "the chip is unknown"
on twilightsparkle test ! -e /etc/containerd/hostler-films.json
# The same pod with the class and without it.
opens() {
    local image
    image=$(kubectl get deployment watcher --output 'jsonpath={.spec.template.spec.containers[0].image}')
    kubectl delete pod opens --ignore-not-found > /dev/null
    kubectl apply --filename - > /dev/null << YAML
{apiVersion: v1, kind: Pod, metadata: {name: opens, namespace: transcode}, spec: {nodeName: rainbowdash, $1 restartPolicy: Never,
  securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 100, seccompProfile: {type: RuntimeDefault}},
  volumes: [{name: program, emptyDir: {}}, {name: tmp, emptyDir: {}}],
  initContainers: [{name: hostler, image: $image, imagePullPolicy: Never, args: [transcode, copy-program, --to, /program/hostler],
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}, volumeMounts: [{name: program, mountPath: /program}]}],
  containers: [{name: encoder, image: $(on rainbowdash crictl images --output json | grep -o 'hostler.local/encoder:[0-9]*' | head -n 1), imagePullPolicy: Never,
    command: [/program/hostler, transcode, prove, --in, /tmp, --encoders, x264],
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}},
    volumeMounts: [{name: program, mountPath: /program}, {name: tmp, mountPath: /tmp}]}]}}
YAML
    wait_for 120 "the pod to end" opened
    kubectl logs opens --container encoder > "$work/out" 2>&1
}
opened() { [ "$(kubectl get pod opens --output 'jsonpath={.status.phase}')" = Succeeded ]; }
opens "runtimeClassName: hostler-films,"
says "/dev/dri/renderD128: opened for reading and writing"
opens ""
if grep -q renderD "$work/out"; then echo "every pod gets it" >&2; false; fi
kubectl delete pod opens > /dev/null
empty

row "what encoders are made from is put right where somebody changed it, and nothing is tried twice"
on rainbowdash sed -i s/rw/r/ /etc/containerd/hostler-films.json
run 0 plan -i "$inventory"
says "/etc/containerd/hostler-films.json is missing or differs"
up
if grep -q "test each encoder" "$work/out"; then echo "it is tried again" >&2; false; fi
empty

row "a film whose encoder in hardware turns out not to work is encoded in software by the same pod: no attempt counts, and the page says so"
kubectl label --overwrite node rainbowdash hostler/encoders=x264.x265.svt_av1.qsv_h264 > /dev/null
wait_for 60 "the page to show it" shows "qsv_h264"
drop "$work/film.mkv" "Six.mkv"
wait_for 400 "the film in the library" in_library "Six.mkv"
wait_for 60 "the end of its way" settled 7 0
[ "$(done_on Six.mkv)" = rainbowdash ]
grep -q "encoded with x264: qsv_h264 does not work on rainbowdash" "$inbox"/ledger/six-*.json
grep -q '"counted": 0' "$inbox"/ledger/six-*.json
wait_for 60 "the page to say so" shows "qsv_h264 does not work on rainbowdash"
empty

row "with the processor alone again, no machine has anything of it"
quick_sync software
[ -z "$(encoders_of rainbowdash)$(encoders_of twilightsparkle)" ]
on rainbowdash test ! -e /etc/containerd/hostler-films.json
[ -z "$(kubectl get runtimeclass --no-headers 2> /dev/null)" ]
drop "$work/film.mkv" "Seven.mkv"
wait_for 400 "the film in the library" in_library "Seven.mkv"
wait_for 60 "the end of its way" settled 8 0
empty

printf '%d rows passed\n' "$rows"
