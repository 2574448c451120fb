#!/bin/bash
# years-takeover.sh HOSTLER: of three control planes, the one that reports about the cluster loses its power, as root. Another one reports that,
# once, and goes on when it is back. As rows.sh says.
set -euo pipefail
hostler=$(realpath "$1")
lab=takeover
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"
machines=(twilightsparkle rainbowdash fluttershy)

row "three control planes"
run 0 lab up --machines 3 --control-planes 3
# shellcheck source=tests/lab/notify-server.sh
. "$(dirname "$(realpath "$0")")/notify-server.sh"
# By a machine that is on.
via=twilightsparkle
kubectl() { on "$via" kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 10s "$@"; }
reporter() { kubectl -n kube-system get lease hostler-notify -o "'jsonpath={.spec.holderIdentity}'" 2> /dev/null; }
has_reporter() { [ -n "$(reporter)" ]; }
# Each machine that is on looks once more, beside its timer.
all_look() { for machine in "${machines[@]}"; do [ "$machine" = "${off:-}" ] || look "$machine"; done; }
ready 3

row "one of them reports about the cluster, and its heart beats"
cat >> "$inventory" << 'YAML'
notify:
  url: http://10.77.0.1:8095/s3cret-topic
  heartbeat: http://10.77.0.1:8095/s3cret-heart
YAML
up
beating() { [ "$(beats)" != 0 ]; }
wait_for 300 "a heartbeat" beating
wait_for 60 "a machine that reports" has_reporter
off=$(reporter)
for machine in "${machines[@]}"; do [ "$machine" = "$off" ] || via=$machine; done
printf '          %s reports about the cluster\n' "$off"

row "it loses its power: another one reports it within twelve minutes, by its timer alone"
run 0 lab cut "$off"
started=$(date +%s)
lost="node $off is not Ready: "
reported() { got_some "$lost"; }
wait_for 720 "the message" reported
printf '          after %d s\n' $(($(date +%s) - started))
reporter=$(reporter)
[ "$reporter" != "$off" ] || { echo "$off still reports" >&2; false; }
printf '          by %s\n' "$reporter"
member() { got_some "etcd member $off is unhealthy"; }
wait_for 600 "the message about its member" member

row "it is reported once, by whichever of the others looks, and no heart beats meanwhile"
before=$(beats)
all_look
all_look
got 1 "$lost"
got 1 "etcd member $off is unhealthy"
[ "$(beats)" = "$before" ] || { echo "$before heartbeats, then $(beats)" >&2; false; }

row "it is back: that is reported once, by the one that took over"
run 0 lab on "$off"
wait_for 600 "three Ready nodes" ready 3
was=$off off=
back() { all_look; got_some "node $was is Ready again, after "; }
wait_for 300 "the message" back
healthy() { all_look; got_some "etcd member $was is healthy again"; }
wait_for 300 "the message about its member" healthy
all_look
got 1 "node $was is Ready again, after "
got 1 "etcd member $was is healthy again"
got 1 "$lost"
[ "$(reporter)" = "$reporter" ] || { echo "now $(reporter) reports, not $reporter" >&2; false; }
grep "^200 POST" "$work/requests"

row "all is well again, and its heart beats"
beats_again() { all_look; [ "$(beats)" -gt "$before" ]; }
wait_for 300 "a heartbeat" beats_again

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
