#!/bin/bash
# years-notify.sh HOSTLER: what machines report by themselves, to a server in the lab's network, as root. As rows.sh says.
# shellcheck disable=SC2016 # what is in single quotes is for machines
set -euo pipefail
hostler=$(realpath "$1")
lab=notify
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

row "a control plane and a worker"
run 0 lab up --machines 2
ready 2
# shellcheck source=tests/lab/notify-server.sh
. "$(dirname "$(realpath "$0")")/notify-server.sh"
# Another look, and whether a message came.
looks_and_got() { look twilightsparkle; got_some "$1"; }

row "notifications are set up on both machines; a summary comes at once, and a heartbeat"
cp "$inventory" "$work/without"
cat >> "$inventory" << 'YAML'
notify:
  url: http://10.77.0.1:8095/s3cret-topic
  heartbeat: http://10.77.0.1:8095/s3cret-heart
  digest: weekly
YAML
run 0 plan -i "$inventory" --verbose
says_not s3cret
up
says_not s3cret
for machine in twilightsparkle rainbowdash; do
    [ "$(on "$machine" 'stat -c "%a %U" /etc/hostler/notify.json')" = "600 root" ]
done
summary() { look twilightsparkle; got_some "2 of 2 nodes Ready: rainbowdash 1.36.3, twilightsparkle 1.36.3"; }
wait_for 180 "the summary" summary
grep "^200 POST" "$work/requests"
beat() { look twilightsparkle; [ "$(beats)" != 0 ]; }
wait_for 180 "a heartbeat" beat
empty

row "the addresses are in no log, no object that others may read, and no argument"
for machine in twilightsparkle rainbowdash; do
    on "$machine" '! journalctl --no-pager | grep -q "s3[c]ret"' || { echo "the journal has it" >&2; false; }
    on "$machine" '! grep -rlq "s3[c]ret" /etc/systemd /run/systemd /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2> /dev/null'
done
# What the cluster keeps is written with the next verification.
on twilightsparkle 'kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system patch configmap hostler --type json \
    --patch "[{\"op\": \"remove\", \"path\": \"/data/verified\"}]"' > /dev/null
up
kubectl get configmaps -A -o yaml > "$work/maps"
kubectl -n kube-system get configmap hostler -o "'jsonpath={.data.kept-inventory}'" | base64 -d > "$work/kept"
grep -q "url: https://not-on-record.invalid/" "$work/kept"
if grep -r s3cret "$work/maps" "$work/kept" "$work/state"; then false; fi

row "a worker's kubelet ends: it is reported once, and no heartbeat comes meanwhile"
on rainbowdash systemctl stop kubelet
becomes_not_ready rainbowdash
look twilightsparkle
before=$(beats)
wait_for 400 "the message" looks_and_got "node rainbowdash is not Ready: "
look twilightsparkle
got 1 "lab: a node is not Ready | node rainbowdash is not Ready: "
[ "$(beats)" = "$before" ] || { echo "$before heartbeats, then $(beats)" >&2; false; }

row "it is back: that is reported, and the heart beats again"
on rainbowdash systemctl start kubelet
becomes_ready 2
wait_for 60 "the message" looks_and_got "node rainbowdash is Ready again, after "
got 1 "lab: a node is Ready again | "
beats_again() { look twilightsparkle; [ "$(beats)" -gt "$before" ]; }
wait_for 60 "a heartbeat" beats_again

row "a snapshot fails while the address does not answer: it is reported later, and once; status says so meanwhile"
echo 503 > "$work/answer"
on twilightsparkle 'mkdir -p /var/backups/hostler && mv /var/backups/hostler /var/backups/aside && touch /var/backups/hostler && ! systemctl start hostler-snapshot.service 2> /dev/null'
# A look that the timer has just begun is the same one.
refused_twice() { look twilightsparkle; [ "$(grep -c "^503 POST" "$work/requests")" -ge 2 ]; }
wait_for 60 "two attempts" refused_twice
run 1 status -i "$inventory"
says "twilightsparkle has not been able to send notifications for "
says_not s3cret
got 0 "a snapshot failed"
echo 200 > "$work/answer"
wait_for 60 "the message" looks_and_got "lab: a snapshot failed | "
look twilightsparkle
got 1 "lab: a snapshot failed | "
on twilightsparkle '[ ! -e /var/lib/hostler/notify-unsent ]'

row "the next snapshot succeeds: that is reported, too"
on twilightsparkle 'rm /var/backups/hostler && mv /var/backups/aside /var/backups/hostler && systemctl start hostler-snapshot.service'
wait_for 60 "the message" looks_and_got "twilightsparkle: snapshots are being taken again, after "

row "a machine that hostler reboots is not lost"
run 0 reboot rainbowdash -i "$inventory" --yes
look twilightsparkle
got 1 "a node is not Ready"

row "without the key, nothing is left of it on the machines"
cp "$work/without" "$inventory"
run 0 plan -i "$inventory"
says "notifications are sent, but the inventory has no \`notify\`"
up
for machine in twilightsparkle rainbowdash; do
    on "$machine" '! ls /etc/hostler/notify.json /var/lib/hostler/notify* /etc/systemd/system/hostler-notify.* 2> /dev/null'
done
empty

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
