#!/bin/sh
# host.sh FOLDER ROOT SEEDS...: one light host, in namespaces that the caller made (network, mount, PID, UTS). Its disk is a tmpfs over
# SEEDS over ROOT. It ends by being the host's sshd.
set -eu
folder=$1 root=$2
shift 2
lower=$root
for seed in "$@"; do lower=$seed:$lower; done

# Nothing of that size is used; hostler refuses a machine with less room.
mount -t tmpfs -o size=4g tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
cd "$folder/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o size=1m tmpfs dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/urandom c 1 9
ln -s /proc/self/fd dev/fd
# The computer's swap is none of the host's: nothing can turn it off from here.
mount --bind run/swaps proc/swaps
# What others set in this network before is not there on a blank machine.
for key in ipv4/ip_forward bridge/bridge-nf-call-iptables bridge/bridge-nf-call-ip6tables; do
    echo 0 > "proc/sys/net/$key"
done
hostname localhost
pivot_root . mnt
umount -l /mnt
exec /usr/sbin/sshd -D -e < /dev/null
