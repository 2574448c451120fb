#!/bin/bash
# years.sh HOSTLER: machines of a cluster are rebooted, shut down and started, on the lab's real machines, as root; cut in between. As rows.sh
# says.
# shellcheck disable=SC2016 # what is in single quotes is for machines
set -euo pipefail
hostler=$(realpath "$1")
lab=years
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

# boot MACHINE: changes with each start of it.
boot() { on "$1" 'echo "$(cat /proc/sys/kernel/random/boot_id) $(sed "s/.*) //" /proc/1/stat | cut -d " " -f 20)"'; }
remember_boots() { for machine; do boot "$machine" > "$work/boot.$machine"; done; }
restarted() {
    local machine now
    for machine; do
        # One that does not answer has not come back.
        now=$(boot "$machine" 2> /dev/null) || now=
        if [ -z "$now" ] || [ "$now" = "$(cat "$work/boot.$machine")" ]; then
            echo "$machine was not restarted" >&2
            return 1
        fi
    done
}
not_restarted() { for machine; do [ "$(boot "$machine")" = "$(cat "$work/boot.$machine")" ] || { echo "$machine was restarted" >&2; return 1; }; done; }
nothing_left() {
    [ -z "$(kubectl get nodes -o "'jsonpath={.items[*].spec.unschedulable}'")" ] || { echo "a node is cordoned" >&2; return 1; }
    ! kubectl get nodes -o yaml | grep hostler/cordoned || return 1
    ! kubectl -n kube-system get configmap hostler -o yaml | grep '  power\.' || return 1
}
is_on() { "$hostler" lab list | awk -v name="$1" '$1 == name { print $4 }' | grep -qx on; }
all_off() { for machine; do ! is_on "$machine" || return 1; done; }

row "one control plane and two workers"
run 0 lab up --machines 3
ready 3
empty

snapshots=$XDG_DATA_HOME/hostler/snapshots
regular() { find "$snapshots/regular" -name "lab-*.tar.gz$1" 2> /dev/null | sort; }

row "the control plane takes a snapshot by itself, and the next verb brings it here"
on twilightsparkle systemctl start hostler-snapshot.service
run 0 status -i "$inventory"
says "copied the newest snapshot from twilightsparkle"
newest=$(regular "")
[ "$(stat -c %a "$newest")" = 600 ]
tar -tzf "$newest" > "$work/list"
grep -qx inventory.yaml "$work/list"
empty
says_not "copied the newest snapshot"
run 0 snapshot list
says "$newest"

row "etcd and an API server read every object of it, without root, and leave nothing"
before=$(ls -A /dev/shm)
as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env -u XDG_CONFIG_HOME -u XDG_STATE_HOME -u XDG_DATA_HOME HOME="$work/nobody"
    HOSTLER_CACHE="$work/nobody/cache")
mkdir -p "$work/nobody/cache"
cp "$newest" "$work/nobody/home.tar.gz"
ln -s /var/cache/hostler/bundles "$work/nobody/cache/bundles"
chmod 711 "$work"
chown -R 65534:65534 "$work/nobody"
within 20 "${as_nobody[@]}" "$hostler" snapshot verify "$work/nobody/home.tar.gz" > "$work/out" 2>&1
cat "$work/out"
says "is valid: taken"
says "and Kubernetes 1.36.3 read"
says "clusterroles.rbac.authorization.k8s.io"
says_not "!"
[ "$(ls -A /dev/shm)" = "$before" ]
[ "$(ls "$work/nobody/cache")" = bundles ]

row "interrupted or killed while it reads, nothing of it stays"
scratch() { find /dev/shm /var/cache/hostler -maxdepth 1 -name "hostler-scratch-*"; }
scratch_is_full() { find /dev/shm -path "*/hostler-scratch-*/etcd" | grep -q .; }
begin snapshot verify "$newest"
wait_for 30 "the scratch etcd" scratch_is_full
kill -TERM "$begun"
ends 143
[ -z "$(scratch)" ]
begin snapshot verify "$newest"
wait_for 30 "the scratch etcd" scratch_is_full
kill -9 "$begun"
wait "$begun" 2> /dev/null || true
[ -n "$(scratch)" ]
run 0 snapshot verify "$newest"
[ -z "$(scratch)" ]

row "an object that no API server can read is named, and a key of no resource, too"
etcdctl='/opt/hostler/current/bin/etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt --endpoints https://127.0.0.1:2379
    --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key'
put() { on twilightsparkle "$(echo "$etcdctl" | tr -d '\n') $*" > /dev/null; }
put put /registry/configmaps/default/broken not-an-object
put put /registry/example.org/ponies/default/rarity '{}'
run 0 snapshot create "$work/broken.tar.gz" -i "$inventory"
put del /registry/configmaps/default/broken
put del /registry/example.org/ponies/default/rarity
run 1 snapshot verify "$work/broken.tar.gz"
cat "$work/out"
says "! configmaps default/broken can't be read:"
[ "$(grep -c '^!' "$work/out")" = 2 ]
says "! 1 key under /registry/example.org/ponies in etcd belongs to no resource of"

row "with recipients the machine encrypts its snapshots, and only the secret key opens them"
age-keygen -o "$work/key" 2> /dev/null
age-keygen -o "$work/other-key" 2> /dev/null
printf 'snapshots: {recipients: [%s]}\n' "$(age-keygen -y "$work/key")" >> "$inventory"
up
on twilightsparkle 'rm -f /var/backups/hostler/*; systemctl start hostler-snapshot.service'
[ "$(on twilightsparkle 'head -n 1 /var/backups/hostler/*')" = age-encryption.org/v1 ]
run 0 status -i "$inventory"
says "encrypted)"
sealed=$(regular .age)
run 2 snapshot verify "$sealed"
says "is encrypted to public keys"
run 2 snapshot verify "$sealed" --identity "$work/other-key"
says "it is not encrypted to any of the keys in the identity file"
run 0 snapshot verify "$sealed" --identity "$work/key"
says "is valid: taken"
age --decrypt --identity "$work/key" "$sealed" | tar -tz > "$work/list"
grep -qx etcd.db "$work/list"
run 0 snapshot create "$work/own.tar.gz.age" -i "$inventory"
run 0 snapshot verify "$work/own.tar.gz.age" --identity "$work/key" --file-only

row "while a run changes the machine, it waits for the next look, and nothing counts as failed"
on twilightsparkle 'touch -d "-2 days" /var/backups/hostler/*; mkdir -p /run/hostler/steps; flock /run/hostler/steps/other systemctl start hostler-snapshot.service'
on twilightsparkle 'journalctl -u hostler-snapshot -o cat -n 5' | grep -q "hostler is changing this machine"
run 0 status -i "$inventory"

row "a snapshot that is not whole is not kept: the old one stays, and status says so"
on twilightsparkle 'touch -d "-2 days" /var/backups/hostler/*; ls /var/backups/hostler > /tmp/before; mv /etc/kubernetes/pki/sa.pub /tmp/'
on twilightsparkle '! systemctl start hostler-snapshot.service 2> /dev/null; ls -A /var/backups/hostler | diff /tmp/before -; mv /tmp/sa.pub /etc/kubernetes/pki/'
run 1 status -i "$inventory"
says "the last snapshot on twilightsparkle failed"
on twilightsparkle systemctl start hostler-snapshot.service
sed -i '/^snapshots:/d' "$inventory"
up

row "no machine needs a reboot"
run 0 reboot -i "$inventory" --yes
says "nothing to do"

row "status says which machine needs one, and why"
on rainbowdash 'touch /run/reboot-required; echo libc6 > /run/reboot-required.pkgs'
run 0 status -i "$inventory"
says "rainbowdash for"
says "(libc6)"

# What installs nothing needs no bundle.
row "it is drained, rebooted, Ready and uncordoned; the others are not touched"
remember_boots twilightsparkle rainbowdash fluttershy
HOSTLER_CACHE=$work/no-bundle run 0 reboot -i "$inventory" --yes
says "a reboot is due for libc6"
restarted rainbowdash
not_restarted twilightsparkle fluttershy
ready 3
nothing_left
run 0 status -i "$inventory"
says_not "reboot due"
empty

row "a node that its owner cordoned stays cordoned"
kubectl cordon fluttershy > /dev/null
remember_boots fluttershy
run 0 reboot fluttershy -i "$inventory" --yes
restarted fluttershy
[ "$(kubectl get node fluttershy -o "'jsonpath={.spec.unschedulable}'")" = true ]
kubectl uncordon fluttershy > /dev/null
nothing_left

row "killed while a machine restarts, the same command continues and reboots none twice"
remember_boots twilightsparkle rainbowdash fluttershy
begin reboot twilightsparkle rainbowdash fluttershy -i "$inventory" --yes
comes_to_say "the machine to restart"
kill -9 "$begun"
wait "$begun" 2> /dev/null || true
wait_for 180 "rainbowdash to be back" restarted rainbowdash 2> /dev/null
not_restarted twilightsparkle
boot rainbowdash > "$work/boot.rainbowdash"
run 0 reboot twilightsparkle rainbowdash fluttershy -i "$inventory" --yes
says_not "asked to reboot rainbowdash"
not_restarted rainbowdash
restarted twilightsparkle fluttershy
ready 3
nothing_left
empty

row "a machine that loses its power instead of restarting is waited for"
remember_boots rainbowdash
begin reboot rainbowdash -i "$inventory" --yes
comes_to_say "the machine to restart"
"$hostler" lab cut rainbowdash > /dev/null 2>&1
comes_to_say "the machine to come back"
"$hostler" lab on rainbowdash > /dev/null 2>&1
ends 0
restarted rainbowdash
nothing_left

row "all machines go off, control planes last"
HOSTLER_CACHE=$work/no-bundle run 0 shutdown -i "$inventory" --yes
all_off twilightsparkle rainbowdash fluttershy

row "start waits until somebody turns them on, and puts the cluster to work"
begin start -i "$inventory" --yes
comes_to_say "waiting for"
"$hostler" lab on > /dev/null 2>&1
ends 0
ready 3
nothing_left
empty

row "a shutdown that is killed is finished by the same command"
begin shutdown --now -i "$inventory" --yes
comes_to_say "the machine to power off"
kill -9 "$begun"
wait "$begun" 2> /dev/null || true
run_any() { "$hostler" "$@" > "$work/out" 2>&1 < /dev/null || true; }
run_any shutdown -i "$inventory" --yes
wait_for 120 "all machines to be off" all_off twilightsparkle rainbowdash fluttershy

row "after the power is back, every node is cordoned, status names start, and nothing else has to be typed"
"$hostler" lab on > /dev/null 2>&1
cordoned() { [ "$(kubectl get nodes --no-headers 2> /dev/null | awk '$2 == "Ready,SchedulingDisabled"' | wc -l)" = "$1" ]; }
wait_for 180 "3 cordoned nodes" cordoned 3
run 1 status -i "$inventory"
says "hostler start"
HOSTLER_CACHE=$work/no-bundle run 0 start -i "$inventory" --yes
ready 3
nothing_left
empty

row "after a power cut, nothing has to be typed"
for machine in rainbowdash fluttershy twilightsparkle; do "$hostler" lab cut "$machine" > /dev/null 2>&1; done
"$hostler" lab on > /dev/null 2>&1
becomes_ready 3
nothing_left

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
