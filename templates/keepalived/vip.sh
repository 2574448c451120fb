#!/bin/sh
# Written by hostler, for hostler-vip.service: keepalived needs the interface's name, which is found by the machine's own address.
set -eu
address={{ address | quote }}
interface=$(ip -oneline address show | awk -v address="$address" '{ split($4, part, "/"); if (part[1] == address) { print $2; exit } }')
[ -n "$interface" ] || { echo "no interface has the address $address yet" >&2; exit 1; }
sed "s/^    interface INTERFACE\$/    interface $interface/" {{ path.keepalived_config }} > {{ path.vip_run }}/keepalived.conf
chmod 600 {{ path.vip_run }}/keepalived.conf
exec keepalived --dont-fork --log-console --vrrp --use-file {{ path.vip_run }}/keepalived.conf \
    --pid {{ path.vip_run }}/keepalived.pid --vrrp_pid {{ path.vip_run }}/vrrp.pid
