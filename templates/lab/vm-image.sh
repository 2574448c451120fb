#!/bin/sh
# Runs on the computer, as mmdebstrap's hook, when the root file system ($1) of a virtual machine is complete: puts its kernel beside its
# disk, and takes out what a fresh machine must not have.
set -eu
root=$1
: "${HOSTLER_IMAGE:?}"

# A link, which leads to a file of /boot.
cp --dereference "$root/vmlinuz" "$HOSTLER_IMAGE"

# Only the lab's repository is known to the machines; its key comes with each disk.
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
# Every machine gets host keys of its own.
rm -f "$root"/etc/ssh/ssh_host_*
