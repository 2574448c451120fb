#!/usr/bin/env bash
# The lab's machines without a cluster: every verb, and that nothing stays behind, also when hostler is killed at a random moment.
#
#     tests/lab/machines.sh HOSTLER [SEED]
#
# As root. HOSTLER is the path of the program; SEED repeats the moments of an earlier run. The lab is one of its own (HOSTLER_LAB), so
# it may run beside another (then set BESIDE=1, see traces.sh). It makes the machines' disk twice, from Debian's mirror: four minutes
# in all.
set -euo pipefail

hostler=$(realpath "$1")
seed=${2:-$((SRANDOM % 32768))}
lab="test"
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/lab/traces.sh
. "$here/traces.sh"

work=$(mktemp --directory)
export HOSTLER_CACHE=$work/cache
checks=0

hostler() {
    HOSTLER_LAB=$lab timeout --kill-after=10 420 "$hostler" "$@"
}

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "machines.sh: $*"
    say "machines.sh: seed $seed, line ${BASH_LINENO[*]}"
    exit 1
}

# expect WHAT EXPECTED SEEN
expect() {
    [[ $2 == "$3" ]] || fail "$1: expected \`$2\`, but it is \`$3\`"
    checks=$((checks + 1))
}

# contains WHAT PART WHOLE
contains() {
    [[ $3 == *"$2"* ]] || fail "$1: expected \`$2\` somewhere in \`$3\`"
    checks=$((checks + 1))
}

# The exit status of a command that may fail.
status_of() {
    local status=0
    "$@" >"$work/output" 2>&1 || status=$?
    echo "$status"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local limit=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < limit)) || fail "waited too long for $what"
        read -rt 0.05 <>"$work/never" || true
    done
}

# Passes lines on and fails when two of them are more than LIMIT seconds apart.
no_silence() {
    local limit=$1 line last=$EPOCHREALTIME now
    while IFS= read -r line || [[ -n $line ]]; do
        now=$EPOCHREALTIME
        awk -v a="$last" -v b="$now" -v limit="$limit" 'BEGIN { exit !(b - a > limit) }' && fail "silence before: $line"
        last=$now
        printf '%s\n' "$line"
    done
}

ended() {
    ! kill -0 "$1" 2>/dev/null
}

power_of() {
    hostler lab list | awk -v machine="$1" '$1 == machine { print $4 }'
}

host_key() {
    hostler lab ssh "$1" cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d ' ' -f 2
}

# When the init of each machine that answers began (proc_pid_stat(5), starttime).
began() {
    local machine since
    for machine in $(hostler lab list | awk '$4 == "on" { print $1 }'); do
        since=$(hostler lab ssh "$machine" cut -d "' '" -f 22 /proc/1/stat 2>/dev/null) && echo "$machine $since"
    done
    true
}

# goes_on WHAT MACHINES: `lab up` makes it a whole lab, whatever has happened to it before.
goes_on() {
    local list
    hostler lab up --machines "$2" --machines-only >"$work/output" 2>&1 || fail "up after $1: $(cat "$work/output")"
    list=$(hostler lab list | awk '$4 == "on" { print $1 }')
    expect "machines after up after $1" "$2" "$(wc --lines <<<"$list")"
    local machine
    for machine in $list; do
        expect "ssh after up after $1" "$machine" "$(hostler lab ssh "$machine" hostname)"
        contains "the inventory after up after $1" "hostKey: ssh-ed25519 $(host_key "$machine")" "$(cat "/var/lib/hostler/lab.$lab/inventory.yaml")"
    done
}

clean() {
    nothing_left >"$work/difference" || fail "$1 left or changed: $(cat "$work/difference")"
    checks=$((checks + 1))
}

cleanup() {
    local status=$?
    hostler lab down >/dev/null 2>&1 || say "machines.sh: the lab could not be taken down"
    local job
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    umount "$work/small" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT

[[ $EUID == 0 ]] || fail "needs root"
for program in perl ssh sysctl losetup ip; do
    command -v "$program" >/dev/null || fail "$program is missing: apt-get install perl openssh-client procps mount iproute2"
done
mkfifo "$work/never" "$work/stdin"
mkdir "$work/small"
say "seed $seed"
RANDOM=$seed
[[ ! -e /var/lib/hostler/lab.$lab ]] || fail "a lab named $lab is up: HOSTLER_LAB=$lab hostler lab down"
traces >"$work/before"

say "up, from nothing"
hostler lab up --machines 2 --machines-only 2>&1 | no_silence 5 >"$work/up" || fail "up: $(cat "$work/up")"
contains "up's output" "all machines are on; their inventory is /var/lib/hostler/lab.$lab/inventory.yaml" "$(cat "$work/up")"
expect "the computer's links, addresses and routes while a lab is up" "$(grep '^network:' "$work/before")" "$(network | LC_ALL=C sort | sed 's|^|network: |')"

say "list, ssh, a second up"
expect "list" "twilightsparkle 10.77.0.11 control-plane on
rainbowdash 10.77.0.12 worker on" "$(hostler lab list | awk 'NR > 1 { print $1, $2, $3, $4 }')"
expect "ssh" rainbowdash "$(hostler lab ssh rainbowdash hostname)"
expect "ssh passes the exit status on" 7 "$(status_of hostler lab ssh rainbowdash exit 7)"
expect "up with other options" 3 "$(status_of hostler lab up --machines 1 --machines-only)"
contains "up with other options" "hostler lab up --machines 2\` to continue with that lab" "$(cat "$work/output")"
echo "# changed by hand" >>"/var/lib/hostler/lab.$lab/inventory.yaml"
began=$(began)
expect "a second up" 0 "$(status_of hostler lab up --machines 2 --machines-only)"
expect "machines after a second up" "$began" "$(began)"
contains "the inventory after a second up" "# changed by hand" "$(cat "/var/lib/hostler/lab.$lab/inventory.yaml")"
mount --types tmpfs --options size=100m tmpfs "$work/small"
expect "up without room" 3 "$(HOSTLER_LAB=${lab}2 HOSTLER_CACHE=$work/small status_of "$hostler" lab up --machines 2 --machines-only)"
contains "up without room" "$work/small/lab has 105 MB of free space, but 1 GB is needed: 1 GB for the image for Debian 13" "$(cat "$work/output")"
umount "$work/small"
expect "a machine that is not there" 2 "$(status_of hostler lab cut rainbwdash)"
contains "a machine that is not there" "did you mean \`rainbowdash\`?" "$(cat "$work/output")"
expect "a name that is none" 2 "$(HOSTLER_LAB=../x status_of "$hostler" lab list)"

say "apt, and no way out"
expect "conntrack on a fresh machine" 1 "$(status_of hostler lab ssh rainbowdash 'test -e /usr/sbin/conntrack')"
hostler lab ssh rainbowdash 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install conntrack' >"$work/output" 2>&1 ||
    fail "apt in a machine: $(cat "$work/output")"
expect "conntrack after apt" 0 "$(status_of hostler lab ssh rainbowdash conntrack --version)"
expect "a machine reaches another" 0 "$(status_of hostler lab ssh rainbowdash ping -c 1 -W 5 10.77.0.11)"
expect "a machine reaches nothing outside" 1 "$(status_of hostler lab ssh rainbowdash ping -c 1 -W 1 192.0.2.1)"
expect "a machine can't set the clock" 1 "$(status_of hostler lab ssh rainbowdash date --set=@1)"

say "exec"
contains "exec's network" "inet 10.77.0.1/24" "$(hostler lab exec -- ip -oneline -4 addr show dev br0)"
# shellcheck disable=SC2016 # that shell's variable
expect "exec's KUBECONFIG" "/var/lib/hostler/lab.$lab/kubeconfig" "$(hostler lab exec -- sh -c 'echo "$KUBECONFIG"')"
expect "exec passes the exit status on" 9 "$(status_of hostler lab exec -- sh -c 'exit 9')"

say "connect"
# A server on a machine: reads until its client has no more to say, then answers with how many bytes there were.
# shellcheck disable=SC2016 # perl's variables
counting='use IO::Socket; $s = IO::Socket::INET->new(LocalPort => PORT, Listen => 5, ReuseAddr => 1) or die; syswrite(STDOUT, "ready\n");
    while ($c = $s->accept) { $n = 0; $n += length($_) while sysread($c, $_, 65536); print $c "$n bytes"; close $c }'
serve() { # PORT PROGRAM
    exec 7< <(hostler lab ssh twilightsparkle "perl -e '${2//PORT/$1}'" 2>&1)
    server=$!
    local ready
    IFS= read -rt 20 ready <&7 || fail "the server on a machine does not start"
    expect "the server on a machine" ready "$ready"
}
stop_serving() {
    hostler lab ssh twilightsparkle pkill -x perl || true
    wait_for 20 "the server on a machine to end" ended "$server"
}
serve 6443 "$counting"
expect "connect, its stdin ended" "1000000 bytes" "$(head --bytes=1000000 /dev/zero | timeout 20 env HOSTLER_LAB="$lab" "$hostler" lab connect twilightsparkle 6443)"
expect "connect to nobody" 1 "$(status_of hostler lab connect 10.77.0.11 9)"
# The reader ends though stdin stays open and the far side silent after its greeting.
exec 8<>"$work/stdin"
HOSTLER_LAB=$lab "$hostler" lab connect twilightsparkle 22 <&8 8<&- > >(head --bytes=4 >"$work/greeting") &
wait_for 20 "connect to end with its reader" ended $!
expect "connect, its reader gone" "SSH-" "$(cat "$work/greeting")"

say "open"
exec 6< <(HOSTLER_LAB=$lab exec "$hostler" lab open --port 0 2>&1)
opened=$!
IFS= read -rt 20 line <&6 || fail "open says nothing"
contains "open" "forwards to twilightsparkle (10.77.0.11:6443)" "$line"
port=${line#https://127.0.0.1:}
port=${port%% *}
# shellcheck disable=SC2016 # perl's variables
client='use IO::Socket; $s = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die; print $s "x" x 300000; $s->flush; shutdown($s, 1); print <$s>'
expect "open, its client said all" "300000 bytes" "$(timeout 20 perl -e "$client" "$port")"
kill -INT "$opened"
wait_for 10 "open to end" ended "$opened"
stop_serving
# The far side closes while stdin stays open.
# shellcheck disable=SC2016 # perl's variables
serve 6444 'use IO::Socket; $s = IO::Socket::INET->new(LocalPort => PORT, Listen => 5, ReuseAddr => 1) or die; syswrite(STDOUT, "ready\n");
    while ($c = $s->accept) { print $c "bye"; close $c }'
expect "connect, its far side closed" "bye" "$(timeout 20 env HOSTLER_LAB="$lab" "$hostler" lab connect 10.77.0.11 6444 <&8)"
stop_serving
exec 8<&-

# On cgroup v1 a frozen process does not even obey SIGKILL. A runc that is killed at the wrong moment leaves one.
# shellcheck disable=SC2016 # that shell's variables
freeze() {
    hostler lab ssh "$1" 'group=/sys/fs/cgroup/freezer/left; [ -d "${group%/*}" ] || exit 0
        setsid sleep 600 < /dev/null > /dev/null 2>&1 & mkdir -p "$group" && echo "$!" > "$group/cgroup.procs" && echo FROZEN > "$group/freezer.state"
        grep -q "^FR" "$group/freezer.state"'
}

say "cut, on, off"
freeze rainbowdash
hostler lab ssh rainbowdash 'echo kept > /root/kept && sync /root/kept /root && echo lost > /root/lost'
hostler lab cut rainbowdash 2>/dev/null
expect "power after cut" off "$(power_of rainbowdash)"
expect "ssh to a machine that is off" 255 "$(status_of hostler lab ssh rainbowdash true)"
hostler lab on rainbowdash 2>/dev/null
expect "power after on" on "$(power_of rainbowdash)"
expect "what was synced before the cut" kept "$(hostler lab ssh rainbowdash cat /root/kept)"
expect "what was not synced before the cut" 1 "$(status_of hostler lab ssh rainbowdash test -s /root/lost)"
freeze twilightsparkle
hostler lab off twilightsparkle 2>/dev/null
hostler lab off rainbowdash 2>/dev/null
expect "power after off" "off off" "$(power_of twilightsparkle) $(power_of rainbowdash)"
hostler lab on 2>/dev/null
expect "power after on without a name" "on on" "$(power_of twilightsparkle) $(power_of rainbowdash)"
expect "apt's server after all were off" 0 "$(status_of hostler lab ssh twilightsparkle apt-get -qq update)"

say "blank"
key=$(host_key rainbowdash)
inventory=$(cat "/var/lib/hostler/lab.$lab/inventory.yaml")
contains "the inventory" "hostKey: ssh-ed25519 $key" "$inventory"
freeze rainbowdash
hostler lab blank rainbowdash 2>/dev/null
[[ $(host_key rainbowdash) != "$key" ]] || fail "blank kept the host key"
expect "a file after blank" 2 "$(status_of hostler lab ssh rainbowdash ls /root/kept)"
expect "the inventory after blank" "$inventory" "$(cat "/var/lib/hostler/lab.$lab/inventory.yaml")"

say "down"
freeze twilightsparkle
hostler lab down 2>/dev/null
clean down
expect "list without a lab" 0 "$(status_of hostler lab list)"
contains "list without a lab" "is not up on this computer" "$(cat "$work/output")"
expect "down without a lab" 0 "$(status_of hostler lab down)"

# kill_at MILLISECONDS VERB...: starts it and kills it with -9 after that time, if it still runs.
kill_at() {
    local after=$1 process status=0
    shift
    HOSTLER_LAB=$lab "$hostler" lab "$@" >"$work/killed" 2>&1 &
    process=$!
    # The moment is what is tested, so time is what is waited for.
    read -rt "$((after / 1000)).$(printf %03d $((after % 1000)))" <>"$work/never" || true
    kill -9 "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || status=$?
    say "  lab $1 after $after ms: status $status, it said last: $(tail --lines=1 "$work/killed")"
}

say "kill -9"
for round in 1 2 3 4 5 6; do
    kill_at $((RANDOM % 2500)) up --machines 3 --machines-only
    hostler lab down 2>"$work/output" || fail "down after kill -9 of up: $(cat "$work/output")"
    clean "down after kill -9 of up, round $round"
done
# Interrupted again and again, each time a little later, it comes to its end, and what was made by then is kept.
for after in $((RANDOM % 300)) $((300 + RANDOM % 700)) $((1000 + RANDOM % 1000)) $((1500 + RANDOM % 2000)); do
    kill_at "$after" up --machines 3 --machines-only
    began >"$work/began"
done
goes_on "kill -9 of up, again and again" 3
expect "machines that were on before" "$(cat "$work/began")" "$(began | grep --fixed-strings --line-regexp --file="$work/began" || true)"
hostler lab down 2>/dev/null
hostler lab up --machines 2 --machines-only >/dev/null 2>&1
kill_at $((RANDOM % 400)) down
goes_on "kill -9 of down" 2
kill_at $((RANDOM % 1500)) blank twilightsparkle
hostler lab up --machines 2 --machines-only >"$work/output" 2>&1 || fail "up after kill -9 of blank: $(cat "$work/output")"
expect "ssh after kill -9 of blank, and up" twilightsparkle "$(hostler lab ssh twilightsparkle hostname)"
kill_at $((RANDOM % 1500)) blank rainbowdash
kill_at $((RANDOM % 400)) down
hostler lab down 2>"$work/output" || fail "down after kill -9 of down: $(cat "$work/output")"
clean "down after kill -9 of blank and down"
rm -rf "$HOSTLER_CACHE"
kill_at $((RANDOM % 20000)) up --machines 1 --machines-only
goes_on "kill -9 while the disk is made" 1
hostler lab down 2>"$work/output" || fail "down after up after kill -9 while the disk is made: $(cat "$work/output")"
clean "down after up after kill -9 while the disk is made"

say "machines.sh: $checks checks passed, seed $seed"
