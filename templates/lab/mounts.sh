#!/bin/sh
# systemd in a container leaves two mounts unlike a computer's own, and kubelet needs both as they are there.
set -eu

# cgroup v1: the controllers are mounted read-only, though the groups below are this machine's own.
for hierarchy in /sys/fs/cgroup/*; do
    if mountpoint -q "$hierarchy"; then
        mount -o remount,bind,rw "$hierarchy"
    fi
done

# Volumes mounted by kubelet must be seen in pods (mountPropagation).
mount --make-rshared /
