#!/bin/bash
# bare-cluster.sh HOSTLER: a machine without a system becomes a node of a cluster, and gets a new system while it is one. The control plane is a
# container of the lab, the worker a machine as bare-stage.sh says, on the lab's network. As root.
# shellcheck disable=SC2016,SC2154 # quoted for the machine; variables are bare-stage.sh's
# shellcheck source=tests/lab/bare-stage.sh
. "$(dirname "$(realpath "$0")")/bare-stage.sh"

command -v dnsmasq > /dev/null || { echo "dnsmasq is missing: apt-get install dnsmasq-base" >&2; exit 1; }
machine=rainbowdash
address=10.77.0.12
login=root
identity=$state/key
namespace=hostler-lab.$lab
inside=(ip netns exec "$namespace")
cable=(-netdev "tap,id=cable,ifname=v12,script=no,downscript=no")
memory=3072
cat > "$work/proxy" << END
#!/bin/bash
exec env HOSTLER_LAB=$lab $hostler lab connect $address 22
END

# comes_to_end SECONDS: what has begun ends with 0, within that time.
comes_to_end() {
    # shellcheck disable=SC2317 # wait_for calls it
    has_ended() { runs && ! kill -0 "$begun" 2> /dev/null; }
    wait_for "$1" "hostler to end" has_ended
    ends 0
}
# What only this system has.
system_id() { on_machine cat /etc/machine-id; }
is_new() {
    ready 2
    [ "$(system_id)" != "$1" ]
    [ "$(on_machine cat /srv/films)" = films ]
    on_machine '[ -z "$(systemctl --failed --quiet)" ] && [ ! -e /etc/old ]'
    # It runs pods.
    [ -n "$(kubectl get pods -A --field-selector spec.nodeName=rainbowdash,status.phase=Running --no-headers)" ]
    run 0 up -i "$inventory" --yes
    says "nothing to do"
}

row "a cluster of one control plane, and a blank machine on its network: \`up\`, run while the stick installs it, makes it a node"
run 0 lab up --machines 1
inventory=$work/inventory.yaml
sed "/^machines:/a\\  rainbowdash: {address: $address, mac: \"$mac\"}" "$state/inventory.yaml" > "$inventory"
cat >> "$inventory" << END
os:
  systemSize: 16GB
  authorizedKeys: ["$(cat "$identity.pub")"]
END
# The router of this network.
setpriv --pdeathsig KILL "${inside[@]}" dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --interface=br0 --bind-interfaces \
    --dhcp-authoritative --dhcp-range=10.77.0.0,static --dhcp-host="$mac,$address" --dhcp-option=3,10.77.0.1 --dhcp-option=6,10.77.0.1 \
    --dhcp-leasefile="$work/leases" --pid-file= --log-facility=- > "$work/router" 2>&1 < /dev/null &
disown
ip -n "$namespace" tuntap add dev v12 mode tap
ip -n "$namespace" link set v12 master br0 up
make_stick "$inventory"
blank_disk
new_firmware
started=$(date +%s)
start disk
begin up -i "$inventory" --within 1h --yes
shows 600 "rainbowdash is installed. Pull the stick out."
seen_after "$started" "installed after"
wait_for 900 "sshd to answer" answers
seen_after "$started" "sshd answers after"
on_machine 'echo films > /srv/films && echo old > /etc/old && sync'
first=$(system_id)
comes_to_end 1800
seen_after "$started" "from a blank disk to Ready, verified:"
says "installed from the stick"
ready 2

row "rebuild --os of a node: out of the cluster, a new system through the firmware, and Ready again; /srv and the host key stay"
: > "$work/serial"
started=$(date +%s)
begin rebuild rainbowdash --os -i "$inventory" --yes
shows 1200 "this is rainbowdash ($mac)"
seen_after "$started" "the installer runs after"
shows 900 "rainbowdash is installed, and restarts."
seen_after "$started" "installed after"
wait_for 900 "the new system to answer" answers_anew "$first"
seen_after "$started" "the new system answers after"
comes_to_end 1800
seen_after "$started" "Ready, verified:"
says "evict the pods of node"
says "to /boot/efi, and add a firmware boot entry for it"
says "the data partition (/srv) is kept"
is_new "$first"

row "rebuild --os --all: the only control plane keeps its system; a node with a system of another image gets a new one; then nothing is left to do"
# As if it had been installed from an older image: its partition is named after the order, and that begins with the image's checksum.
on_machine 'echo old > /etc/old && sgdisk --change-name=2:hostler-system-0123456789abcdef /dev/nvme0n1 > /dev/null && udevadm trigger --settle /dev/nvme0n1p2'
second=$(system_id)
: > "$work/serial"
started=$(date +%s)
begin rebuild --os --all -i "$inventory" --yes
shows 1200 "rainbowdash is installed, and restarts."
comes_to_end 2400
seen_after "$started" "Ready, verified:"
says "the system is not reinstalled: the machine is the only control plane, and has the cluster's state"
is_new "$second"
run 0 rebuild --os --all -i "$inventory" --yes
says "the system is not reinstalled: the machine is the only control plane, and has the cluster's state"
says_not "install Debian"
cut_power
printf '%d rows passed\n' "$rows"
