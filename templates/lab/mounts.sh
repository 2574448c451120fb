#!/bin/sh
# systemd in a container leaves mounts unlike a computer's own, and the machine's udev and kubelet need them as they are there.
set -eu

# sysfs shows the network of the process that mounts it, and systemd-nspawn does so in the computer's: the machine would see the computer's
# cards instead of its own.
mount --make-rprivate /
mkdir -p /run/lab-sys
mount -t sysfs -o nosuid,nodev,noexec sysfs /run/lab-sys
mount --rbind /sys/fs/cgroup /run/lab-sys/fs/cgroup
mount --rbind /run/lab-sys /sys
umount --lazy /run/lab-sys
rmdir /run/lab-sys

# cgroup v1: the controllers are mounted read-only, though the groups below are this machine's own.
for hierarchy in /sys/fs/cgroup/*; do
    if mountpoint -q "$hierarchy"; then
        mount -o remount,bind,rw "$hierarchy"
    fi
done

# Volumes mounted by kubelet must be seen in pods (mountPropagation).
mount --make-rshared /
