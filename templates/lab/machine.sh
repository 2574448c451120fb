#!/bin/sh
# Starts on the computer, in a mount namespace made for one machine: machine.sh DISK ROOT PROGRAM [ARGUMENTS]. The disk is mounted there
# alone, so nothing else keeps it busy, and it is let go of when the machine ends, however it ends.
set -eu
disk=$1
root=$2
shift 2
mount -t ext4 -o loop "$disk" "$root"
# systemd-nspawn leaves the restart of a machine to the service that it is in: it ends with this status.
restart=133
status=$restart
while [ "$status" = "$restart" ]; do
    status=0
    "$@" || status=$?
done
exit "$status"
