#!/bin/bash
# bare-cluster.sh HOSTLER [all]: machines without a system become nodes of a cluster, and get a new system while they are. The control plane is a
# container of the lab, the workers are machines as bare-stage.sh says, on the lab's network: one; with `all` two, for `rebuild --os --all` alone,
# which two emulated machines take most of an hour for. As root.
# shellcheck disable=SC2016,SC2154 # quoted for the machine; variables are bare-stage.sh's
case ${2:-} in
    '') workers=(rainbowdash) lab=barecluster ;;
    all) workers=(rainbowdash applejack) lab=bareall ;;
    *) echo "usage: $0 HOSTLER [all]" >&2; exit 2 ;;
esac
# shellcheck source=tests/lab/bare-stage.sh
. "$(dirname "$(realpath "$0")")/bare-stage.sh"

command -v dnsmasq > /dev/null || { echo "dnsmasq is missing: apt-get install dnsmasq-base" >&2; exit 1; }
login=root
identity=$state/key
namespace=hostler-lab.$lab
inside=(ip netns exec "$namespace")
memory=3072
declare -A number=([rainbowdash]=2 [applejack]=3) switched_on

# at MACHINE: what follows is about that one.
at() {
    [ -z "${qemu:-}" ] || switched_on[$machine]=$qemu
    machine=$1
    qemu=${switched_on[$machine]:-}
    address=10.77.0.1${number[$1]}
    mac=52:54:00:12:34:5${number[$1]}
    cable=(-netdev "tap,id=cable,ifname=v1${number[$1]},script=no,downscript=no")
    here=$work/$machine
    mkdir -p "$here"
    cat > "$here/proxy" << END
#!/bin/bash
exec env HOSTLER_LAB=$lab $hostler lab connect $address 22
END
    chmod +x "$here/proxy"
}
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
    ready $((1 + ${#workers[@]}))
    [ "$(system_id)" != "$1" ]
    [ "$(on_machine cat /srv/films)" = films ]
    on_machine '[ -z "$(systemctl --failed --quiet)" ] && [ ! -e /etc/old ]'
    # It runs pods.
    [ -n "$(kubectl get pods -A --field-selector "spec.nodeName=$machine,status.phase=Running" --no-headers)" ]
    run 0 up -i "$inventory" --yes
    says "nothing to do"
}

row "a cluster of one control plane, and blank on its network ${workers[*]}: \`up\`, run while the stick installs them, makes them nodes"
run 0 lab up --machines 1
inventory=$work/inventory.yaml
cp "$state/inventory.yaml" "$inventory"
hosts=()
for name in "${workers[@]}"; do
    at "$name"
    sed -i "/^machines:/a\\  $machine: {address: $address, mac: \"$mac\"}" "$inventory"
    hosts+=(--dhcp-host="$mac,$address")
done
cat >> "$inventory" << END
os:
  systemSize: 16GB
  authorizedKeys: ["$(cat "$identity.pub")"]
END
# The router of this network.
setpriv --pdeathsig KILL "${inside[@]}" dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --interface=br0 --bind-interfaces \
    --dhcp-authoritative --dhcp-range=10.77.0.0,static "${hosts[@]}" --dhcp-option=3,10.77.0.1 --dhcp-option=6,10.77.0.1 \
    --dhcp-leasefile="$work/leases" --pid-file= --log-facility=- > "$work/router" 2>&1 < /dev/null &
disown
make_stick "$inventory"
stick=$here/stick.img
started=$(date +%s)
for name in "${workers[@]}"; do
    at "$name"
    ip -n "$namespace" tuntap add dev "v1${number[$name]}" mode tap
    ip -n "$namespace" link set "v1${number[$name]}" master br0 up
    # One stick would go from one to the other.
    [ "$here/stick.img" = "$stick" ] || cp --sparse=always "$stick" "$here/stick.img"
    blank_disk
    new_firmware
    start disk
done
begin up -i "$inventory" --within 1h --yes
declare -A first
for name in "${workers[@]}"; do
    at "$name"
    shows 900 "$machine is installed. Pull the stick out."
    seen_after "$started" "$machine is installed after"
done
for name in "${workers[@]}"; do
    at "$name"
    wait_for 900 "sshd to answer" answers
    seen_after "$started" "its sshd answers after"
    on_machine 'echo films > /srv/films && echo old > /etc/old && sync'
    first[$machine]=$(system_id)
done
comes_to_end 1800
seen_after "$started" "from a blank disk to Ready, verified:"
says "installed from the stick"
ready $((1 + ${#workers[@]}))

if [ "$lab" = barecluster ]; then
    row "rebuild --os of a node: out of the cluster, a new system through the firmware, and Ready again; /srv and the host key stay"
    : > "$here/serial"
    started=$(date +%s)
    begin rebuild rainbowdash --os -i "$inventory" --yes
    shows 1200 "this is rainbowdash ($mac)"
    seen_after "$started" "the installer runs after"
    shows 900 "rainbowdash is installed, and restarts."
    seen_after "$started" "installed after"
    wait_for 900 "the new system to answer" answers_anew "${first[$machine]}"
    seen_after "$started" "the new system answers after"
    comes_to_end 1800
    seen_after "$started" "Ready, verified:"
    says "evict the pods of node"
    says "to /boot/efi, and add a firmware boot entry for it"
    says "the data partition (/srv) is kept"
    is_new "${first[$machine]}"
fi

row "rebuild --os --all: the only control plane keeps its system; nodes with a system of another image get a new one; then nothing is left to do"
declare -A second
for name in "${workers[@]}"; do
    at "$name"
    # As if it had been installed from an older image: its partition is named after the order, and that begins with the image's checksum.
    on_machine 'echo old > /etc/old && sgdisk --change-name=2:hostler-system-0123456789abcdef /dev/nvme0n1 > /dev/null && udevadm trigger --settle /dev/nvme0n1p2'
    second[$machine]=$(system_id)
    : > "$here/serial"
done
started=$(date +%s)
begin rebuild --os --all -i "$inventory" --yes
# In the order of the inventory, one after the other: the last of them is untouched as long as another one is on its way.
in_order=$(printf '%s\n' "${workers[@]}" | tac)
for name in $in_order; do
    at "$name"
    shows 2400 "$machine is installed, and restarts."
    seen_after "$started" "$machine is installed after"
    for other in $in_order; do
        [ "$other" = "$name" ] || [ -n "${renewed:-}" ] || [ ! -s "$work/$other/serial" ]
    done
    renewed=$name
done
comes_to_end 3000
seen_after "$started" "Ready, verified:"
says "the system is not reinstalled: the machine is the only control plane, and has the cluster's state"
for name in "${workers[@]}"; do
    at "$name"
    is_new "${second[$machine]}"
done
run 0 rebuild --os --all -i "$inventory" --yes
says "the system is not reinstalled: the machine is the only control plane, and has the cluster's state"
says_not "install Debian"
for name in "${workers[@]}"; do
    at "$name"
    cut_power
done
printf '%d rows passed\n' "$rows"
