#!/bin/bash
# films-faults.sh HOSTLER [SEED] [FAULTS]: films on the lab's machines while everything is broken that can be: watcher, encoders and
# publishers are killed before a change that they were about to make, Jobs and pods are deleted, machines are cut, disks run full, shares
# hang and go away, the API server is away, two watchers run, the whole cluster loses power. Afterwards every film must be in the library or in
# failed/, once; its original in the trash or in failed/, byte for byte; and nothing in claim/ and work/. Some films are published before they are
# encoded, and in the last third long ones are encoded in pieces. As root. Prints a table of what was done.
# shellcheck source=tests/lab/films-stage.sh
. "$(dirname "$0")/films-stage.sh" "$1"
seed=${2:-1}
wanted=${3:-110}
RANDOM=$seed
# What this script touches is behind the file systems that play the server: those may hang.
behind=$work/behind
inbox=$behind/films/inbox
library=$behind/plex/library
machines=(twilightsparkle rainbowdash fluttershy)
log=$work/faults
films=0
faults=0
: > "$log"

row "a lab whose shares come from a server that can be stopped"
mkdir -p "$behind"/{films,plex} "$shares"/{films,plex}
chmod 755 "$work" "$shares"
truncate -s 12G "$work/server.ext4"
mkfs.ext4 -q -O ^has_journal "$work/server.ext4"
mount -o loop "$work/server.ext4" "$behind/films"
mkdir "$inbox" "$library"
mount -t tmpfs -o size=400m,mode=755 hostler-films "$library"
chown 1000:100 "$inbox" "$library"
serve() {
    bindfs -f -o attr_timeout=0,entry_timeout=0,negative_timeout=0 "$behind/$1" "$shares/$1" &
    beside+=($!)
    wait_for 10 "$1 to be served" mountpoint -q "$shares/$1"
}
serve films
served_inbox=$!
serve plex
served_library=$!
run 0 lab up --machines 3 --share "$shares/films/inbox" --share "$shares/plex/library"
cat >> "$inventory" << YAML
transcode:
  inbox: path:$shares/films/inbox
  library: path:$shares/plex/library
  owner: {uid: 1000, gid: 100}
  languages: [eng]
  folders: {Movies: {}, Tonight: {publish: original}}
  minSaving: off
  split: 10s
YAML
up

row "faults, of seed $seed, while films are dropped"
film 4 "$work/film.mkv" 640x360
film 24 "$work/long.mkv" 320x180
# place NUMBER: where film NUMBER is dropped, and how many seconds it has. Long ones are in pieces while machines would be idle.
is_long() { [ -e "$work/long-$1" ]; }
folder_of() { [ $(($1 % 5)) = 0 ] && echo Tonight || echo Movies; }
size_of_queue() { find "$inbox/watch" "$inbox/claim" -type f 2> /dev/null | wc -l; }
# Each another film, by its title.
more_films() {
    # While the share is away there is no folder to drop into.
    [ -e "$inbox/.hostler-share" ] || return 0
    local made=$work/film.mkv queue=12
    if [ "$faults" -ge $((wanted * 2 / 3)) ]; then made=$work/long.mkv queue=1; fi
    while [ "$(size_of_queue)" -lt "$queue" ]; do
        films=$((films + 1))
        if [ "$made" = "$work/long.mkv" ]; then touch "$work/long-$films"; else rm -f "$work/long-$films"; fi
        ffmpeg -v error -y -i "$made" -map 0 -c copy -metadata title="film $films" "$work/made/$films.mkv" < /dev/null
        install -o 1000 -g 100 "$work/made/$films.mkv" "$inbox/watch/$(folder_of "$films")/film $films.mkv" 2> /dev/null || { films=$((films - 1)); return 0; }
    done
}
mkdir "$work/made"

# done_to KIND WHAT: for the table.
done_to() { printf '%s|%s|%s\n' "$(date +%T)" "$1" "$2" >> "$log"; }
one_of() { local all=("$@"); [ $# = 0 ] || echo "${all[RANDOM % $#]}"; }
# of_lab PID: whether the process runs on a machine of this lab. Others on this computer may see its shares, too.
of_lab() { grep -q "lab[/-]$lab-" "/proc/$1/cgroup" 2> /dev/null; }
# Processes of this lab that run `hostler transcode VERB`.
running() {
    local pid
    for pid in $(pgrep -f "hostler transcode $1 --inbox"); do
        ! of_lab "$pid" || echo "$pid"
    done
}
changes=rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,fsync
# kill_before VERB: the process is killed as it is about to change something, the next time or a few times later.
kill_before() {
    local pid until=$(($(date +%s) + 8))
    # shellcheck disable=SC2046 # several words
    until pid=$(one_of $(running "$1")) && [ -n "$pid" ]; do
        [ "$(date +%s)" -lt "$until" ] || return 1
        sleep 0.05
    done
    timeout 12 strace -qq -y -f -p "$pid" -e "trace=$changes" -e "inject=$changes:signal=KILL:when=$((RANDOM % ${2:-9} + 1))" -o "$work/strace" 2> /dev/null || true
    [ ! -e "/proc/$pid" ] || return 1
    # The names of films say nothing here.
    local what
    what=$(grep -v -e '+++' -e '---' "$work/strace" | tail -n 1 |
        sed -E 's/^[0-9]+ +//; s/ <unfinished.*//; s/ += .*//; s/film-[0-9]+-[0-9a-f]{8}/ID/g; s/film [0-9]+/FILM/g; s/\.new-[A-Za-z0-9]+/.new/g; s/[0-9a-f-]{36}/POD/g')
    done_to "kill -9 of $3 before a change" "${what:-at once}"
}
kill_handbrake() {
    local pid
    for pid in $(pgrep -x HandBrakeCLI); do
        of_lab "$pid" || continue
        kill -9 "$pid" 2> /dev/null || continue
        done_to "kill -9 of HandBrake" ""
        return 0
    done
    return 1
}
delete_one() {
    local one
    # shellcheck disable=SC2046 # several words
    one=$(one_of $(kubectl get "$1" --selector "$2" -o name --request-timeout 5s 2> /dev/null)) || return 1
    [ -n "$one" ] || return 1
    # shellcheck disable=SC2086 # several words
    kubectl delete "$one" --wait=false --request-timeout 5s $4 > /dev/null 2>&1 || return 1
    done_to "$3" ""
}
quick() {
    case $((RANDOM % 12)) in
        0 | 1 | 2) kill_before watch 24 "the watcher" ;;
        3 | 4 | 5) kill_before encode 9 "an encoder" ;;
        6 | 7) kill_before publish 9 "a publisher" ;;
        8) kill_handbrake ;;
        9) delete_one jobs app.kubernetes.io/part-of=transcode "a Job deleted" "" ;;
        10) delete_one pods app.kubernetes.io/part-of=transcode "a pod deleted, without grace" "--grace-period 0 --force" ;;
        11) delete_one pods app=watcher "the watcher's pod deleted" "" ;;
    esac
}
api() { kubectl get --raw /readyz --request-timeout 5s > /dev/null 2>&1; }

# What takes a minute goes on beside what is quick.
cut_machine() {
    local machine
    machine=$(one_of rainbowdash fluttershy)
    "$hostler" lab cut "$machine" > /dev/null 2>&1
    done_to "a machine cut for 100 s" "$machine"
    sleep 100
    "$hostler" lab on "$machine" > /dev/null 2>&1
}
hang() {
    kill -STOP "$2"
    done_to "the $1 hangs for a minute" ""
    sleep 60
    kill -CONT "$2"
}
inbox_away() {
    mv "$inbox" "$behind/films/away"
    # What is left is a folder that all can be written to.
    mkdir -m 777 "$inbox"
    done_to "the inbox is away for a minute" ""
    sleep 60
    find "$inbox" -type f >> "$work/written-where-nothing-is"
    rm -r "$inbox"
    mv "$behind/films/away" "$inbox"
}
library_away() {
    mv "$library/.hostler-share" "$behind/marker"
    done_to "the library's mark is away for a minute" ""
    sleep 60
    mv "$behind/marker" "$library/.hostler-share"
}
full() {
    fallocate -l "$(df --output=avail -B1 "$2" | tail -n 1)" "$2/.full" || true
    done_to "no room in the $1 for 45 s" ""
    sleep 45
    rm -f "$2/.full"
}
api_away() {
    on twilightsparkle "mv /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/" > /dev/null 2>&1
    done_to "the API server is away for a minute" ""
    sleep 60
    on twilightsparkle "mv /etc/kubernetes/kube-apiserver.yaml /etc/kubernetes/manifests/" > /dev/null 2>&1
    wait_for 120 "the API server" api
}
two_watchers() {
    kubectl scale deployment watcher --replicas 2 > /dev/null 2>&1
    done_to "two watchers for 45 s" ""
    sleep 45
    kubectl scale deployment watcher --replicas 1 > /dev/null 2>&1
}
power_cut() {
    local machine
    for machine in "${machines[@]}"; do "$hostler" lab cut "$machine" > /dev/null 2>&1; done
    done_to "the whole cluster's power cut" ""
    sleep 3
    for machine in "${machines[@]}"; do "$hostler" lab on "$machine" > /dev/null 2>&1; done
    wait_for 180 "the API server" api
}
slow=(cut_machine "hang inbox $served_inbox" "full inbox $inbox" api_away two_watchers inbox_away "full library $library" "hang library $served_library"
    power_cut library_away cut_machine two_watchers)
next=0
beside_it=
while [ "$faults" -lt "$wanted" ] || [ "$next" -lt ${#slow[@]} ]; do
    if [ -z "$beside_it" ] || ! kill -0 "$beside_it" 2> /dev/null; then
        if [ "$next" -lt ${#slow[@]} ] && [ "$(wc -l < "$log")" -ge $((wanted * next / ${#slow[@]} / 2)) ]; then
            ( trap - EXIT; ${slow[next]} ) &
            beside_it=$!
            next=$((next + 1))
        fi
    fi
    more_films
    quick || sleep 1
    faults=$(wc -l < "$log")
done
wait "$beside_it" || true

row "$films films and $faults faults later: all is quiet"
wait_for 180 "the API server" api
ended() { [ "$(size_of_queue)" = 0 ] && transcode status && grep -q "0 in progress, 0 waiting" "$work/out"; }
wait_for 1500 "the films' end" ended
no_jobs() { [ -z "$(kubectl get jobs --selector app.kubernetes.io/part-of=transcode --output name 2> /dev/null)" ]; }
wait_for 120 "the last Jobs to go" no_jobs

row "every film is in the library or in failed/, once, and its original is kept byte for byte"
wrong=0
complain() { echo "WRONG: $*" >&2; wrong=$((wrong + 1)); }
# what_is_there NUMBER: of a film that can't be read.
what_is_there() {
    local film
    film="$(folder_of "$1")/film $1.mkv"
    ls -l --time-style=full-iso "$library/$film"
    od -A d -t x1z "$library/$film" | head -n 4
    sha256sum "$library/$film" "$shares/plex/library/$film"
    grep -h "film $1.mkv" "$inbox"/ledger/*.json
    find "$inbox" -name "film $1.mkv" -exec ls -l --time-style=full-iso {} +
} >&2
published=0
failed=0
for number in $(seq "$films"); do
    folder=$(folder_of "$number") seconds=4
    is_long "$number" && seconds=24
    kept=$(find "$inbox/trash" -path '*.original/*' -name "film $number.mkv" | wc -l)
    refused=$(find "$inbox/failed" -mindepth 2 -name "film $number.mkv" | wc -l)
    there=$(find "$library" -name "film $number.mkv" | wc -l)
    case "$there $kept $refused" in
        "1 1 0")
            published=$((published + 1))
            cmp -s "$work/made/$number.mkv" "$(find "$inbox/trash" -path '*.original/*' -name "film $number.mkv")" || complain "the original of film $number is another"
            ffprobe -v error -show_entries format=duration:format_tags=title -of default=nw=1:nk=1 "$library/$folder/film $number.mkv" < /dev/null > "$work/probe" ||
                what_is_there "$number"
            awk -v s="$seconds" 'NR == 1 { whole = $1 > s - 0.5 && $1 < s + 0.5 } END { exit !whole }' "$work/probe" || complain "film $number in the library is not whole"
            ;;
        "0 0 1")
            failed=$((failed + 1))
            cmp -s "$work/made/$number.mkv" "$(find "$inbox/failed" -mindepth 2 -name "film $number.mkv")" || complain "film $number in failed/ is another"
            grep -h -A 2 "^$folder/film $number.mkv" "$inbox"/failed/*.txt | tail -n 1
            ;;
        *) complain "film $number is $there times in the library, $kept times in the trash, $refused times in failed/" ;;
    esac
done
[ -z "$(find "$inbox/claim" "$inbox/work" "$inbox/watch" -type f)" ] || complain "left over: $(find "$inbox/claim" "$inbox/work" "$inbox/watch" -type f)"
[ -z "$(find "$inbox/claim" "$inbox/work" -mindepth 1 -maxdepth 1)" ] || complain "folders left over"
[ -z "$(find "$library" -name '*.part')" ] || complain "copies left over: $(find "$library" -name '*.part')"
[ "$(find "$library" -name '*.mkv' | wc -l)" = "$published" ] || complain "there are films in the library that nobody dropped"
# Those of the other folder were published before they were encoded.
[ -z "$(find "$inbox/trash" -path '*.replaced/*' -path '*Movies*' -type f)" ] || complain "a film of this campaign was replaced by itself"
split=$({ grep -lE '"machine": ?"[a-z]+, ' "$inbox"/ledger/*.json || true; } | wc -l)
original=$(find "$inbox/trash" -path '*.replaced/*' -type f | wc -l)
[ "$split" -gt 0 ] || complain "no film was encoded in pieces"
[ "$original" -gt 0 ] || complain "no film was published before it was encoded"
printf '%d films were encoded in pieces, and %d published before they were encoded\n' "$split" "$original"
[ ! -s "$work/written-where-nothing-is" ] || complain "written where no share was: $(cat "$work/written-where-nothing-is")"

printf '\nseed %s: %d faults, %d films: %d in the library, %d in failed/, %d wrong\n\n' "$seed" "$faults" "$films" "$published" "$failed" "$wrong"
printf '| fault | times |\n|---|---|\n'
cut -d '|' -f 2 "$log" | sort | uniq -c | sed -E 's/^ *([0-9]+) (.*)/| \2 | \1 |/'
printf '\nchanges before which something was killed:\n'
grep 'before a change' "$log" | cut -d '|' -f 2,3 | sort | uniq -c | sort -rn
[ "$wrong" = 0 ]
printf '%d rows passed\n' "$rows"
