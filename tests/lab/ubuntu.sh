#!/bin/bash
# ubuntu.sh HOSTLER: a real Ubuntu 24.04 beside a Debian, in one cluster, as root: what its cloud-init, systemd-resolved, networkd,
# unattended-upgrades and needrestart do to a node, now and after the next start. As rows.sh says. Where Ubuntu's archive can't be reached: NOT RUN.
# shellcheck disable=SC2016 # what is in single quotes runs on a machine
set -euo pipefail
hostler=$(realpath "$1")
lab=ubuntu24
# What must be there is a machine's image, or what it is made from.
archive=http://archive.ubuntu.com/ubuntu/dists/noble/InRelease
cache=${HOSTLER_CACHE:-/var/cache/hostler}/lab
if ! compgen -G "$cache/noble-*" > /dev/null && ! curl --silent --fail --head --max-time 30 --output /dev/null "$archive"; then
    echo "NOT RUN: $archive can't be reached, and no image of Ubuntu is in $cache"
    exit 0
fi
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

ubuntu=rainbowdash
repairs() { up && says "$1" && rests; }
# A node that has just started may still become NotReady, and is then verified again.
# For a moment after a restart the cluster believes what kubelet said before it.
rests() { wait_for 180 "nothing to be left to do" eval 'empty && run 0 status -i "$inventory"' 2> /dev/null && says healthy; }
restart() {
    "$hostler" lab off "$ubuntu" > /dev/null 2>&1
    "$hostler" lab on "$ubuntu" > /dev/null 2>&1
    on "$ubuntu" 'cloud-init status --wait > /dev/null'
}
# owner FILE TEXT: what the machine's owner gives to cloud-init, as from a new medium.
owner() { on "$ubuntu" "printf '$2' > /var/lib/cloud/seed/nocloud/$1"; }
named() { [ "$(on "$ubuntu" 'hostname; cat /etc/hostname' | sort -u)" = "$1" ] || { echo "it is not called $1" >&2; return 1; }; }
has_hosts() { on "$ubuntu" 'grep -q "^10.77.0.11 api.lab.internal" /etc/hosts && grep -q "^10.77.0.12 rainbowdash" /etc/hosts'; }
delays() { on "$ubuntu" 'systemd-inhibit --list | grep -q "^kubelet "'; }
# What pods and other machines need of its network.
network() { on "$ubuntu" 'ip -o address show | sed "s/ valid_lft.*//"; ip route; ip rule'; }

row "a cluster of Debian and Ubuntu is healthy, and nothing is left to do"
run 0 lab up --machines 2 --system "$ubuntu=noble"
run 0 lab list
says "Ubuntu 24.04"
on "$ubuntu" '. /etc/os-release && [ "$ID $VERSION_ID" = "ubuntu 24.04" ] && [ "$(systemctl is-active systemd-resolved systemd-networkd unattended-upgrades | sort -u)" = active ]'
run 0 status -i "$inventory"
says healthy
empty

row "cloud-init gave it its name and its network, and has not undone hostler's hosts"
on "$ubuntu" 'cloud-init status --wait | grep -q done && grep -q 10.77.0.12 /etc/netplan/50-cloud-init.yaml && networkctl status eth0 | grep -q configured'
named "$ubuntu"
has_hosts

row "systemd-resolved: the machine asks its stub, and pods the nameservers that it asks"
on "$ubuntu" 'grep -q "^nameserver 127.0.0.53" /etc/resolv.conf && grep -q "^nameserver 10.77.0.1" /run/systemd/resolve/resolv.conf'
on "$ubuntu" 'grep -qF "\"/run/systemd/resolve/resolv.conf\"" /opt/hostler/kubelet.conf.d/10-machine.conf'
on twilightsparkle '! grep -q /run/systemd/resolve /opt/hostler/kubelet.conf.d/10-machine.conf'
for machine in twilightsparkle "$ubuntu"; do
    on "$machine" 'cat "/proc/$(pgrep -x flanneld)/root/etc/resolv.conf"' > "$work/pod"
    grep -q "^nameserver 10.77.0.1$" "$work/pod" || { cat "$work/pod" >&2; exit 1; }
done

row "unattended-upgrades holds an inhibitor of its own and limits logind's: kubelet's is there, too"
on "$ubuntu" 'grep -q InhibitDelayMaxSec=30 /usr/lib/systemd/logind.conf.d/unattended-upgrades-logind-maxdelay.conf && systemd-inhibit --list | grep -q Unattended'
delays
[ "$(on "$ubuntu" 'busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager InhibitDelayMaxUSec')" = "t 60000000" ]

row "networkd is restarted and netplan applied: the addresses and routes of pods stay"
network > "$work/network"
for command in "systemctl restart systemd-networkd" "networkctl reconfigure eth0" "netplan apply"; do
    on "$ubuntu" "$command && /usr/lib/systemd/systemd-networkd-wait-online --interface eth0:routable --timeout 60"
    network | diff "$work/network" - >&2 || { echo "after $command" >&2; exit 1; }
done
run 0 status -i "$inventory"
says healthy

row "needrestart restarts what uses a replaced library: containerd and kubelet are not among them"
remember "$ubuntu"
on "$ubuntu" 'libc=$(ldconfig -p | awk "/libc.so.6/ { print \$NF; exit }") && cp -p "$libc" "$libc.new" && mv "$libc.new" "$libc"
    resolved=$(systemctl show -p MainPID --value systemd-resolved) && needrestart -r a < /dev/null
    [ "$(systemctl show -p MainPID --value systemd-resolved)" != "$resolved" ]' > "$work/out" 2>&1
untouched "$ubuntu"
ready 2
empty

row "the next start, with another name, other hosts and another sysctl of the owner's: all is as hostler set it"
owner meta-data 'instance-id: lab-2\nlocal-hostname: nuc2\n'
on "$ubuntu" 'echo "manage_etc_hosts: true" > /etc/cloud/cloud.cfg.d/95-owner.cfg && echo "net.ipv4.ip_forward = 0" >> /etc/sysctl.conf && [ -L /etc/sysctl.d/99-sysctl.conf ]'
restart
[ "$(on "$ubuntu" 'readlink /var/lib/cloud/instance')" = /var/lib/cloud/instances/lab-2 ]
named "$ubuntu"
has_hosts
[ "$(on "$ubuntu" sysctl -n net.ipv4.ip_forward)" = 1 ]
becomes_ready 2
wait_for 60 "kubelet to delay shutdowns" delays
rests

row "the same start without hostler's files for cloud-init and sysctl undoes all three, and up repairs it"
owner meta-data 'instance-id: lab-3\nlocal-hostname: nuc3\n'
on "$ubuntu" 'rm /etc/cloud/cloud.cfg.d/zz-hostler.cfg /etc/sysctl.d/zz-hostler.conf'
restart
named nuc3
! has_hosts 2> /dev/null || { echo "its hosts are still there" >&2; exit 1; }
[ "$(on "$ubuntu" sysctl -n net.ipv4.ip_forward)" = 0 ]
repairs "the host name is \`nuc3\`"
named "$ubuntu"
has_hosts
ready 2

row "user data that cloud-init prefers to every file: status warns, and what it says to do ends that"
owner user-data '#cloud-config\nssh_deletekeys: false\ndisable_root: false\napt: {preserve_sources_list: true}\nmanage_etc_hosts: true\n'
owner meta-data 'instance-id: lab-4\nlocal-hostname: nuc4\n'
restart
becomes_ready 2
run 0 plan -i "$inventory"
says "cloud-init.disabled"
repairs "/etc/hosts has no entries"
on "$ubuntu" 'touch /etc/cloud/cloud-init.disabled'
restart
becomes_ready 2
has_hosts
rests
says_not "cloud-init.disabled"

row "rebuild: the Ubuntu leaves, is wiped, and joins again"
run 0 rebuild "$ubuntu" -i "$inventory" --yes
becomes_ready 2
rests

row "a fresh disk has Ubuntu again, and joins"
run 0 lab blank "$ubuntu"
run 0 rebuild "$ubuntu" -i "$inventory" --yes --host-key "$(host_key "$ubuntu")"
on "$ubuntu" 'grep -q ^ID=ubuntu /etc/os-release'
run 0 status -i "$inventory"
says healthy

row "reset: nothing of a cluster is left on it, and its network and name are as they were"
run 0 reset -i "$inventory" --yes-take-down lab
on "$ubuntu" '[ ! -e /etc/kubernetes ] && ! ip link show flannel.1 2> /dev/null && ! ip link show cni0 2> /dev/null && networkctl status eth0 | grep -q configured'
named "$ubuntu"

row "Ubuntu as the only control plane, with a VIP: it stays when networkd restarts, and comes back when netplan removes it"
run 0 lab down
run 0 lab up --machines 1 --system twilightsparkle=noble --machines-only
sed -i 's/^  name: lab$/&\n  endpoint: {vip: 10.77.0.200}/' "$inventory"
has_vip() { on twilightsparkle 'ip -oneline address show dev eth0 | grep -qF " 10.77.0.200/"'; }
up
rests
on twilightsparkle 'systemctl restart systemd-networkd && /usr/lib/systemd/systemd-networkd-wait-online --interface eth0:routable --timeout 60'
has_vip
on twilightsparkle 'netplan apply'
within 20 wait_for 20 "keepalived to bring the VIP back" has_vip

row "its next start: the VIP and the cluster are there again"
ubuntu=twilightsparkle
restart
wait_for 60 "the VIP" has_vip
becomes_ready 1
rests

echo "$rows rows passed"
