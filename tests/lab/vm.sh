#!/bin/bash
# vm.sh HOSTLER: what only a machine with a kernel of its own can show, as root: cgroup v2, swap, modules, a clock that is wrong, restarts in
# mid-step, NFS. A lab of two machines, the worker a virtual one. As rows.sh says. Where
# KVM does not work this takes most of an hour, so it is in no other run.
# shellcheck disable=SC2016 # backquotes are hostler's own
set -euo pipefail
hostler=$(realpath "$1")
lab="vm"
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"
# shellcheck source=tests/lab/traces.sh
. "$(dirname "$(realpath "$0")")/traces.sh"

# seen WHAT: a number worth writing down.
seen() { printf '          %s\n' "$*"; }
# A plan that refuses something ends with 3, as `up` would.
plan() { run "${1:-0}" plan -i "$inventory"; }
vm() { on rainbowdash "$@"; }
boot_id() { vm cat /proc/sys/kernel/random/boot_id; }
another_boot() { local now; now=$(boot_id 2> /dev/null) && [ -n "$now" ] && [ "$now" != "$1" ]; }
# How far the virtual machine's clock is from this computer's, in seconds, as an amount.
clock_off() {
    local off=$(($(vm date +%s) - $(date +%s)))
    echo "${off#-}"
}
clock_right() { [ "$(clock_off)" -lt 30 ]; }
# set_clock SECONDS: so far ahead of this computer's.
set_clock() { vm date --set="@$(($(date +%s) + $1))"; }
loaded() { vm 'for module in overlay br_netfilter; do [ -d /sys/module/$module ] || exit 1; done'; }
# Takes the lab down, and fails where something is left of it.
down() {
    run 0 lab down
    nothing_left
}
no_swap() { [ "$(vm wc -l '<' /proc/swaps)" = 1 ]; }

for program in python3 sysctl losetup ip; do
    command -v "$program" > /dev/null || { echo "$program is missing: apt-get install python3 procps mount iproute2" >&2; exit 1; }
done
# Swap is this computer's for its containers, and the inventory must not tolerate it here.
[ "$(wc -l < /proc/swaps)" = 1 ] || { echo "this computer has swap: swapoff -a" >&2; exit 1; }
traces > "$work/before"

row "a virtual machine that was never finished leaves nothing behind"
for after in 1 4 9; do
    timeout --signal=KILL "$after" "$hostler" lab up --machines 2 --vm rainbowdash --machines-only > "$work/out" 2>&1 || true
    down
done

row "two machines, one of them with a kernel, cgroup v2, swap and modules of its own"
started=$(date +%s)
run 0 lab up --machines 2 --vm rainbowdash --machines-only
seen "on, with sshd answering, after $(($(date +%s) - started)) s"
run 0 lab list
says "(virtual machine)"
[ "$(vm uname -r)" != "$(uname -r)" ]
[ "$(vm stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]
vm grep -q /swapfile /proc/swaps
vm '[ ! -e /run/systemd/container ] && [ ! -d /sys/module/br_netfilter ] && [ ! -d /sys/module/overlay ]'
seen "kernel $(vm uname -r), systemd $(vm systemctl --version | head -n 1 | cut -d ' ' -f 2)"
# The lab's settings for containers, but for cgroup v1, which the control plane needs.
sed -i '/^    failSwapOn: false$/d; /^  - Swap$/d' "$inventory"

row "the plan names what is to be done on it"
plan
says "rainbowdash: swap is on (/swapfile): turn swap off, now and after a reboot"
says "rainbowdash: the kernel modules overlay, br_netfilter and vxlan are not loaded"

row "a clock ten minutes ahead is refused, on the machine that is wrong; a time service mends it"
vm systemctl disable --quiet --now systemd-timesyncd
set_clock 600
plan 3
says "refused: rainbowdash: the clock is 10 minutes ahead of the other machine's and this computer's"
says "timedatectl set-ntp true"
says_not "twilightsparkle: the clock is"
# A time server in the lab: the other machine, which has this computer's clock and can't set it (so its unit would not start).
on twilightsparkle 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install chrony' > "$work/out" 2>&1
on twilightsparkle 'printf "local stratum 8\nallow 10.77.0.0/24\n" > /etc/chrony/conf.d/lab.conf && chronyd -x'
vm 'mkdir -p /etc/systemd/timesyncd.conf.d && printf "[Time]\nNTP=10.77.0.11\n" > /etc/systemd/timesyncd.conf.d/lab.conf && timedatectl set-ntp true'
wait_for 120 "the clock to be right" clock_right
plan
says_not "the clock is"

row "a clock a year ahead, and a year behind, is refused; date -s mends it"
vm systemctl disable --quiet --now systemd-timesyncd
for year in 31622400 -31622400; do
    set_clock "$year"
    plan 3
    says "rainbowdash: the clock is 366 days"
    says_not "twilightsparkle: the clock is"
    set_clock 0
    plan
    says_not "the clock is"
done
says "rainbowdash: no time service is running"

row "from nothing to a cluster, though the machine restarts in mid-step"
started=$(date +%s)
boot=$(boot_id)
"$hostler" up -i "$inventory" --yes > "$work/out" 2>&1 &
up=$!
until grep -q '^rainbowdash .*images' "$work/out"; do kill -0 "$up"; sleep 0.5; done
# At once, nothing written down, as a reset button does.
vm 'echo b > /proc/sysrq-trigger' > /dev/null 2>&1 || true
wait "$up" || { echo "up did not go on by itself" >&2; false; }
seen "up, with a restart in it, took $(($(date +%s) - started)) s"
another_boot "$boot"
says "the machine to come back"
says "deferred: the machine was restarted; its facts are gathered again"
ready 2
empty
seen "$(kubectl get node rainbowdash -o 'jsonpath="{.status.nodeInfo.kernelVersion}, {.status.nodeInfo.containerRuntimeVersion}, kubelet {.status.nodeInfo.kubeletVersion}"')"
no_swap
loaded
[ "$(vm systemctl is-active systemd-timesyncd)" = active ]
vm test -d /sys/fs/cgroup/kubepods.slice

row "after a restart swap is still off, modules are loaded, and the node comes back by itself"
boot=$(boot_id)
vm systemctl reboot > /dev/null 2>&1 || true
wait_for 900 "the machine to be back" another_boot "$boot"
no_swap
vm grep -q "'^# hostler: /swapfile'" /etc/fstab
loaded
wait_for 600 "the node to be Ready" ready 2
empty

row "swap turned on again, in fstab too, is turned off again"
vm 'sed -i "s|^# hostler: /swapfile|/swapfile|" /etc/fstab && swapon /swapfile'
plan
says "rainbowdash: swap is on (/swapfile): turn swap off, now and after a reboot"
up
empty
no_swap

row "the clock of a node is a year ahead: refused, and mended; the node stays"
vm systemctl disable --quiet --now systemd-timesyncd
set_clock 31622400
up 3
says "rainbowdash: the clock is 366 days ahead"
set_clock 0
up
says "rainbowdash: no time service is running"
wait_for 600 "the node to be Ready" ready 2
empty

row "an NFS server, and a pod that mounts from it"
vm 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install nfs-kernel-server' > "$work/out" 2>&1
vm 'install -d -o 1000 -g 100 /srv/films && echo "/srv/films 10.77.0.0/24(rw,sync,no_subtree_check)" > /etc/exports && exportfs -ra'
pause=$(vm ctr -n k8s.io images ls -q | grep pause)
kubectl apply -f - << EOF > /dev/null
apiVersion: v1
kind: Pod
metadata: {name: nfs}
spec:
  nodeName: rainbowdash
  containers: [{name: pause, image: $pause, volumeMounts: [{name: films, mountPath: /films}]}]
  volumes: [{name: films, nfs: {server: 10.77.0.12, path: /srv/films}}]
EOF
mounted() { kubectl wait --for=condition=Ready --timeout=5s pod/nfs > /dev/null 2>&1; }
wait_for 300 "the pod that mounts by NFS" mounted
vm grep "'/var/lib/kubelet/pods/.* nfs4 '" /proc/mounts > "$work/out"
kubectl delete pod nfs --now > "$work/out" 2>&1

row "films on a folder that is mounted by NFS: seen by plan, and so is a server that does not answer"
vm 'mkdir -p /films && mount -t nfs 10.77.0.12:/srv/films /films'
on twilightsparkle 'install -d -o 1000 -g 100 /films'
cp "$inventory" "$work/inventory.yaml"
printf '\ntranscode:\n  inbox: path:/films\n  library: path:/films\n  owner: {uid: 1000, gid: 100}\n  folders: {Movies: {}}\n  image: registry.example.org/handbrake:1\n' >> "$inventory"
plan
says_not "refused"
vm chown 0:0 /srv/films
plan 3
says "rainbowdash: the films' owner, 1000:100, can't write to the inbox folder /films"
vm chown 1000:100 /srv/films
vm systemctl stop nfs-server
started=$(date +%s)
plan 3
says "rainbowdash: the inbox folder /films does not respond"
seen "plan named the silent server after $(($(date +%s) - started)) s"
vm systemctl start nfs-server
plan
says_not "refused"
vm umount /films
cp "$work/inventory.yaml" "$inventory"

row "the plug is pulled, and pressed back in; the power button"
vm 'echo kept > /root/kept && sync /root/kept /root && echo lost > /root/lost'
run 0 lab cut rainbowdash
run 0 lab list
grep -q '^rainbowdash .* off ' "$work/out"
run 0 lab on rainbowdash
[ "$(vm cat /root/kept)" = kept ]
vm '[ ! -s /root/lost ]'
wait_for 600 "the node to be Ready" ready 2
empty
started=$(date +%s)
run 0 lab off rainbowdash
seen "off in order after $(($(date +%s) - started)) s"
run 0 lab on rainbowdash
wait_for 600 "the node to be Ready" ready 2

row "a blank disk: another host key, refused; rebuild brings it in"
run 0 lab blank rainbowdash
up 4
says "host key"
started=$(date +%s)
run 0 rebuild rainbowdash -i "$inventory" --yes --host-key "$(host_key rainbowdash)"
seen "rebuilt in $(($(date +%s) - started)) s"
ready 2
empty

row "down leaves nothing"
down
printf '%d rows passed\n' "$rows"
