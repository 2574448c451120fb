# shellcheck shell=bash
# What the scripts about films share; each sources it as its first act, with the path of hostler as $1. It gives them two shares, a lab of
# its own, words for what is looked at, and takes all of it away at the end, however that comes, unless KEEP=1.
set -euo pipefail
hostler=$(realpath "$1")
lab=${HOSTLER_LAB:-films}
# shellcheck source=tests/lab/rows.sh
. "$(dirname "${BASH_SOURCE[0]}")/rows.sh"
shares=$work/shares
inbox=$shares/inbox
library=$shares/library
page=http://10.77.0.11:30080
# Programs that end with the script.
beside=()

# As rows.sh calls it at the end.
cleanup() {
    status=$?
    set +e
    [ "$status" = 0 ] || {
        echo "FAILED at line $1: $2" >&2
        tail -n 60 "$work/out" >&2
        kubectl get jobs,pods -o wide >&2
        kubectl logs --tail 20 deployment/watcher >&2
        # Of one that began anew, what it said before.
        for name in watcher page; do kubectl logs --previous --tail 20 "deployment/$name" >&2; done
        kubectl get events --sort-by .lastTimestamp | tail -n 20 >&2
        cat "$inbox/status.json" >&2
    }
    [ -z "${KEEP:-}" ] || { echo "kept: $work" >&2; exit "$status"; }
    [ ${#beside[@]} = 0 ] || kill -CONT "${beside[@]}" 2> /dev/null
    "$hostler" lab down > /dev/null 2>&1
    [ ${#beside[@]} = 0 ] || kill "${beside[@]}" 2> /dev/null
    findmnt --raw --noheadings --output TARGET | grep "^$work/" | sort --reverse | xargs --no-run-if-empty --max-args 1 umount --lazy
    rm -rf --one-file-system "$work"
    exit "$status"
}
up() { run "${1:-0}" up -i "$inventory" --yes --kubeconfig "$work/kubeconfig"; }
# two_shares SIZE: an empty inbox, and an empty library that is a file system of its own, of that size.
two_shares() {
    mkdir -p "$inbox" "$library"
    chmod 755 "$work" "$shares"
    mount -t tmpfs -o "size=$1,mode=755" hostler-films "$library"
    chown 1000:100 "$inbox" "$library"
}
# workload [LINE...]: the lab's inventory with the workload, and these lines of it. Films of a test are so small that encoding makes them larger.
workload() {
    [ -e "$work/plain.yaml" ] || cp "$inventory" "$work/plain.yaml"
    cp "$work/plain.yaml" "$inventory"
    cat >> "$inventory" << YAML
transcode:
  inbox: path:$inbox
  library: path:$library
  owner: {uid: 1000, gid: 100}
  languages: [eng]
  folders: {Movies: {}}
  minSaving: off
YAML
    [ $# = 0 ] || printf '  %s\n' "$@" >> "$inventory"
}
kubectl() { on twilightsparkle kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace transcode "$@"; }
transcode() { "$hostler" lab exec -- "$hostler" transcode "$@" --kubeconfig "$work/kubeconfig" > "$work/out" 2>&1; }
# From the lab's network.
fetch() { "$hostler" lab exec -- curl --silent --fail --max-time 10 "$@"; }
# drop FILM AS: as a person copies it, under its own name from the first byte.
drop() {
    install -D -o 1000 -g 100 -- "$1" "$inbox/watch/Movies/$2"
    # A folder that came with it is its owner's, too.
    chown 1000:100 -- "$(dirname -- "$inbox/watch/Movies/$2")"
}
in_library() { [ -f "$library/Movies/$1" ]; }
# settled DONE FAILED: nothing is under way, and so many films are done, and failed.
settled() { transcode status && grep -q "0 in progress, 0 waiting, $1 done, $2 failed" "$work/out"; }
encoding() { kubectl get pods --selector transcode=encode --field-selector status.phase=Running --no-headers 2> /dev/null | grep -q . && progress; }
progress() { fetch "$page/api/status" > "$work/status" && grep -Eq '"percent": ?[1-9]' "$work/status"; }
nothing_left() {
    [ -z "$(find "$inbox/claim" "$inbox/work" "$inbox/publish" "$inbox/watch" -type f)" ] || { find "$inbox" -type f >&2; return 1; }
}
# The pod of a machine that was lost stays "running" until somebody takes it away, so the machine is asked for by name.
encodes_on() { kubectl get pods --selector transcode=encode --field-selector "status.phase=Running,spec.nodeName=$1" --no-headers 2> /dev/null | grep -q .; }
# film SECONDS FILE SIZE: two sound tracks, subtitles, two chapters.
film() {
    printf ';FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=%d\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1\nSTART=%d\nEND=%d\ntitle=Two\n' \
        $(($1 / 2)) $(($1 / 2)) "$1" > "$work/chapters"
    printf '1\n00:00:01,000 --> 00:00:03,000\nhello\n' > "$work/subtitles.srt"
    ffmpeg -v error -y -f lavfi -i "testsrc2=size=$3:rate=25:duration=$1" -f lavfi -i "sine=440:duration=$1" -f lavfi -i "sine=880:duration=$1" \
        -i "$work/subtitles.srt" -i "$work/chapters" -map 0 -map 1 -map 2 -map 3 -map_metadata 4 -c:v libx264 -preset ultrafast -c:a ac3 -c:s srt \
        -metadata:s:a:0 language=eng -metadata:s:a:1 language=eng -metadata:s:s:0 language=eng "$2" < /dev/null
}
