# Begins every step. Standard input holds this script and then its payload, the files the step needs, one after the other.
set -eu
# A script whose hostler is gone goes on: that nobody hears it any more must not end it between two changes.
trap '' PIPE
run={{ run | quote }}
step={{ step | quote }}

# A value for a later step. The line does not reach the log.
output() { printf '{{ say.output }} %s %s\n' "$1" "$2"; }

# Not now, perhaps soon: hostler names what it waits for and tries again, up to a limit.
temporary() {
    printf '{{ say.wait }} %s\n' "$*"
    exit {{ exit.try_again }}
}

fail() {
    printf '%s\n' "$*" >&2
    exit {{ exit.failed }}
}

# not_started UNIT: says why.
not_started() { fail "$1 does not start: $(journalctl -u "$1" -n 5 --no-pager -o cat | tr '\n' ' ')"; }

# aloud COMMAND...: runs it, with its status, and passes on what it says. That nobody hears that any more does not reach the command: kubeadm
# fails, at its very end, where it can't print.
aloud() {
    {
        aloud_status=$({
            {
                aloud_status=0
                "$@" 2>&1 3>&- 4>&- || aloud_status=$?
                echo "$aloud_status" >&3
            } | while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line" >&4 || :; done
        } 3>&1)
    } 4>&1
    return "$aloud_status"
}

# announce SECONDS WHAT: what comes next waits, at most so long.
announce() { printf '{{ say.waiting }} %s %s\n' "$1" "$2" || :; }

# await SECONDS WHAT COMMAND...: until the command succeeds, at most so long.
await() {
    await_seconds=$1
    await_what=$2
    shift 2
    "$@" > /dev/null 2>&1 && return
    announce "$await_seconds" "$await_what"
    await_until=$(($(date +%s) + await_seconds))
    until "$@" > /dev/null 2>&1; do
        [ "$(date +%s)" -lt "$await_until" ] || fail "timed out after $await_seconds s waiting for $await_what"
        sleep 0.5
    done
}

# A machine that was restarted in mid-run answers over SSH before its containerd does.
await_containerd() { await 180 "containerd to answer" ctr version; }

# take PATH MODE BYTES SHA256: the next BYTES of the payload become PATH, whole or not at all.
take() {
    mkdir -p "${1%/*}"
    rm -f "$1.hostler-new"
    (umask 077 && head -c "$3" > "$1.hostler-new")
    echo "$4  $1.hostler-new" | sha256sum --check --status || fail "the copy of $1 on this machine differs from what was sent"
    chmod "$2" "$1.hostler-new"
    mv -f "$1.hostler-new" "$1"
}

# record NAME VALUE: remembers on the machine what was applied last.
record() {
    mkdir -p {{ path.applied }}
    printf '%s\n' "$2" > "{{ path.applied }}/.$1.hostler-new"
    mv -f "{{ path.applied }}/.$1.hostler-new" "{{ path.applied }}/$1"
}

{% if begun %}
# This run has worked here before, and its mark is in memory alone: without it the machine has been restarted since, and may have lost what
# was done. Once all has started it is looked at anew.
started() { ! systemctl is-system-running | grep -Eqx 'initializing|starting'; }
answers() { {{ path.bin }}/kubectl {{ kubectl.own }} --request-timeout 5s get --raw /readyz; }
if [ ! -e "{{ path.runs }}/$run" ]; then
    (await 120 "its services to start" started) || :
    [ ! -e {{ path.admin }} ] || (await 90 "the API server to answer" answers) || :
    exit {{ exit.restarted }}
fi
{% endif %}
# One run at a time works on a machine, and one script on a step. A lock is held by the living processes of a step, so it outlives
# a lost connection and dies with a power failure; it is never broken.
mkdir -p {{ path.steps }} {{ path.runs }}
chmod 700 {{ path.run }}
# kubectl keeps what it learns of an API server in files that root's group may write, in root's home unless it is told.
export KUBECACHEDIR={{ path.kubectl_cache }}
exec 8> {{ path.gate }}
flock -w 20 8 || temporary "the lock in {{ path.run }}"
for held in {{ path.steps }}/*; do
    [ -e "$held" ] || continue
    if flock -n "$held" true; then
        rm -f "$held"
    elif ! grep -qxF "run=$run" "$held" || grep -qxF "step=$step" "$held"; then
        temporary "$(sed -n 's/^step=//p' "$held") of run $(sed -n 's/^run=//p' "$held"), which is still running on this machine"
    fi
done
lock={{ path.steps }}/$(printf '%s' "$step" | tr / .)
printf 'run=%s\nstep=%s\nsince=%s\n' "$run" "$step" "$(date +%s)" > "$lock"
exec 9>> "$lock"
flock -w 1 9 || temporary "the lock of $step"
exec 8>&-
: > "{{ path.runs }}/$run"
