# shellcheck shell=bash
# What tests of a cluster's life share. Sourced by scripts that set `lab` (the lab's name) and `hostler` (the program): each row of theirs is
# what is done -> what must be seen. Ends at the first failure, and takes the lab away in any case unless KEEP=1.
# shellcheck disable=SC2154 # lab and hostler are set by who sources this
export HOSTLER_LAB=$lab
state=/var/lib/hostler/lab.$lab
inventory=$state/inventory.yaml
# `lab up` would continue with it, and what it holds.
[ ! -e "$state" ] || { echo "a lab named $lab is up: HOSTLER_LAB=$lab hostler lab down" >&2; exit 1; }
# Not in /tmp: hostler takes no folder for films there, as systemd deletes old files in it.
work=$(mktemp -d /srv/hostler-lab.XXXXXX)
# Where kubeconfigs, logs and snapshots go unless they are told.
export XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state XDG_DATA_HOME=$work/share
rows=0

cleanup() {
    status=$?
    [ "$status" = 0 ] || { echo "FAILED at line $1: $2" >&2; tail -n 60 "$work/out" >&2 || true; }
    # Whoever polls sees it.
    touch "$work/stop"
    [ -n "${KEEP:-}" ] || "$hostler" lab down > /dev/null 2>&1 || true
    rm -rf "$work"
    exit "$status"
}
trap 'cleanup $LINENO "$BASH_COMMAND"' EXIT

row() {
    rows=$((rows + 1))
    printf '%s  row %d: %s\n' "$(date +%T)" "$rows" "$*"
}
# run STATUS ARGUMENTS...: hostler ends with that status; what it prints is in $work/out.
run() {
    local expected=$1 status=0
    shift
    "$hostler" "$@" > "$work/out" 2>&1 < /dev/null || status=$?
    [ "$status" = "$expected" ] || { echo "hostler $* ended with $status, not $expected" >&2; return 1; }
}
# begin ARGUMENTS...: hostler in the background, as $begun, with $work/out as `run`; ends STATUS: it ends with that status.
begin() {
    "$hostler" "$@" > "$work/out" 2>&1 < /dev/null &
    begun=$!
}
ends() {
    local status=0
    wait "$begun" || status=$?
    [ "$status" = "$1" ] || { echo "it ended with $status, not $1" >&2; return 1; }
}
says() { grep -qF -- "$1" "$work/out" || { echo "not said: $1" >&2; return 1; }; }
says_not() { ! grep -qF -- "$1" "$work/out" || { echo "said: $1" >&2; return 1; }; }
# What has begun says it, sooner or later.
comes_to_say() {
    local limit=$(($(date +%s) + 180))
    until grep -qF -- "$1" "$work/out"; do
        kill -0 "$begun" 2> /dev/null || { echo "it ended, and did not say: $1" >&2; return 1; }
        [ "$(date +%s)" -lt "$limit" ] || { echo "not said within 3 minutes: $1" >&2; return 1; }
    done
}
# wait_for SECONDS WHAT COMMAND...: until that succeeds.
wait_for() {
    local until=$(($(date +%s) + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$(date +%s)" -lt "$until" ] || { echo "waited in vain for $what" >&2; return 1; }
        sleep 0.5
    done
}
# needs_bundle VERSION: ends with NOT RUN where the cache has none of it.
needs_bundle() {
    [ ! -e "${HOSTLER_CACHE:-/var/cache/hostler}/bundles/$1-$(dpkg --print-architecture)" ] || return 0
    echo "NOT RUN: there is no bundle of $1; tests/bundle $hostler $1 makes one of parts, if they are at hand"
    exit 0
}
up() { run "${1:-0}" up -i "$inventory" --yes; }
empty() { up 0 && says "nothing to do"; }
on() { local machine=$1; shift; "$hostler" lab ssh "$machine" "$*"; }
kubectl() { on twilightsparkle kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }
# kubelets VERSION: all nodes report it.
kubelets() {
    local found
    found=$(kubectl get nodes -o "'jsonpath={range .items[*]}{.status.nodeInfo.kubeletVersion}{\"\\n\"}{end}'" | sort -u)
    [ "$found" = "v$1" ] || { echo "kubelets are $found" >&2; return 1; }
}
ready() { [ "$(kubectl get nodes --no-headers 2> /dev/null | awk '$2 == "Ready"' | wc -l)" = "$1" ]; }
# web VIA REPLICAS LEAST PAUSE [TOLERATIONS]: a Service of that many replicas on port 30080, of which LEAST are never evicted, as web.yaml says.
web() {
    local image
    image=$(on "$1" /opt/hostler/current/bin/crictl images -o json | sed -n 's/.*"\([^"]*hostler:[^"]*\)".*/\1/p' | head -n 1)
    [ -n "$image" ] || { echo "$1 has no image of hostler's" >&2; return 1; }
    sed "s|IMAGE|$image|; s|REPLICAS|$2|; s|LEAST|$3|; s|PAUSE|$4|; s|TOLERATIONS|${5:-}|" "$(dirname "${BASH_SOURCE[0]}")/web.yaml" | kubectl apply -f - > /dev/null
    kubectl rollout status deployment web --timeout 120s > /dev/null
}
# What a person reads on a machine that was installed anew.
host_key() { on "$1" ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | awk '{ print $2 }'; }
not_ready() { [ "$(kubectl get node "$1" --no-headers 2> /dev/null | awk '{ print $2 }')" = NotReady ]; }
becomes_not_ready() { wait_for 120 "node $1 to be NotReady" not_ready "$1"; }
becomes_ready() { wait_for 180 "$1 Ready nodes" ready "$1"; }
# members VIA COUNT: that many started members, none of them a learner, and all healthy.
members() {
    local etcdctl='/opt/hostler/current/bin/etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt --endpoints https://127.0.0.1:2379'
    etcdctl+=' --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key'
    [ "$(on "$1" "$etcdctl member list" | grep -c ', started, .*, false$')" = "$2" ] || { echo "not $2 members" >&2; return 1; }
    on "$1" "$etcdctl endpoint health --cluster" > /dev/null 2>&1 || { echo "a member is not healthy" >&2; return 1; }
}
# When containerd and kubelet of a machine began, and its static pods, to see that nobody restarted them. A static pod that is made anew has
# another sandbox; in the same one the scheduler and the controller manager begin again by themselves, where a busy computer costs them their lease.
began() {
    on "$1" "systemctl show -p ExecMainStartTimestampMonotonic containerd kubelet
        /opt/hostler/current/bin/crictl pods --quiet --state ready --label tier=control-plane | sort
        /opt/hostler/current/bin/crictl ps --quiet --name '^(etcd|kube-apiserver)$' | sort"
}
remember() { for machine; do began "$machine" > "$work/began.$machine"; done; }
untouched() {
    for machine; do
        began "$machine" | diff "$work/began.$machine" - >&2 || {
            echo "something of $machine was restarted" >&2
            # What kubelet took for a reason.
            on "$machine" 'journalctl --since -10min --no-pager -o short-precise -u kubelet -u containerd -u hostler-renewal -u hostler-snapshot |
                grep -E "source=.file|SyncLoop (ADD|REMOVE|DELETE)|manifest|[Ss]andbox (changed|is not)|No sandbox|Killing|inotify|too many|config.go|file.go|systemd" |
                cut -c 1-300 | tail -n 80; ls -la --time-style full-iso /etc/kubernetes/manifests; cat /proc/sys/fs/file-nr; free -m' >&2 || :
            return 1
        }
    done
}
# poll URL: asks there from now on, until `answered`.
poll() {
    rm -f "$work/stop"
    # shellcheck disable=SC2016 # that shell's own
    "$hostler" lab exec -- bash -c '
        last=$EPOCHREALTIME gap=0
        longest() { awk -v now="$EPOCHREALTIME" -v last="$last" -v gap="$gap" "BEGIN { since = now - last; print (since > gap) ? since : gap }"; }
        while [ -d "$1" ] && [ ! -e "$1/stop" ]; do
            if curl --silent --fail --insecure --max-time 1 --output /dev/null "$2"; then
                gap=$(longest)
                last=$EPOCHREALTIME
            fi
        done
        longest > "$1/gap"' bash "$work" "$1" &
    poller=$!
}
# answered SECONDS: what `poll` asked was never that long without an answer.
answered() {
    touch "$work/stop"
    wait "$poller"
    printf '          %s s without an answer, at most\n' "$(cat "$work/gap")"
    awk "BEGIN { exit !($(cat "$work/gap") < $1) }" || { echo "that is $1 s or more" >&2; return 1; }
}
# within SECONDS COMMAND...: it takes no longer.
within() {
    local limit=$1 began=$EPOCHREALTIME
    shift
    "$@" || return
    awk "BEGIN { took = $EPOCHREALTIME - $began; printf \"          %.1f s\n\", took; exit took > $limit }" || { echo "that took longer than $limit s" >&2; return 1; }
}
# within_once SECONDS COMMAND...: the same of a command that only looks, once in three times: this computer may have other work.
within_once() { within "$@" || within "$@" || within "$@"; }
