# shellcheck shell=bash
# What the scripts about machines without a system share; each sources it as its first act, with the path of hostler as $1: one machine of
# QEMU's, with UEFI, Secure Boot, an NVMe disk and a stick, and words for what is looked at. Emulated, a start takes half a minute, an
# installation two minutes, and a system until its sshd answers three.
# shellcheck disable=SC2034 # variables are for those that source this
set -euo pipefail
hostler=$(realpath "$1")
# Each has a name of its own: who takes a lab down takes all of its processes away.
lab=${lab:-$(basename "$0" .sh | tr --delete -)}
# shellcheck source=tests/lab/rows.sh
. "$(dirname "${BASH_SOURCE[0]}")/rows.sh"

for program in qemu-system-x86_64 mtype setpriv ssh-keygen debugfs partx; do
    command -v "$program" > /dev/null ||
        { echo "$program is missing: apt-get install qemu-system-x86 mtools util-linux openssh-client e2fsprogs" >&2; exit 1; }
done
firmware=/usr/share/OVMF
[ -e "$firmware/OVMF_CODE_4M.ms.fd" ] || { echo "$firmware is missing: apt-get install ovmf" >&2; exit 1; }

export HOME=$work/home
install --directory --mode 0700 "$HOME" "$HOME/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$HOME/.ssh/id_ed25519"
authorized=$(cat "$HOME/.ssh/id_ed25519.pub")

# The machine: its name and network card, and who logs in. QEMU's own network gives it this address, which only it can reach.
machine=twilightsparkle
mac=52:54:00:12:34:56
address=10.0.2.15
login=ada
identity=$HOME/.ssh/id_ed25519
port=$((20000 + $$ % 10000))
cable=(-netdev "user,id=cable,hostfwd=tcp:127.0.0.1:$port-:22")
# MB.
memory=2048
# Where its disk, its firmware's variables, its stick and what its screen shows are.
here=$work
# What QEMU is started with: a command that is followed by another.
inside=()
# More devices.
devices=()
cat > "$here/proxy" << END
#!/bin/bash
exec 3<> /dev/tcp/127.0.0.1/$port
cat <&3 &
cat >&3
END
chmod +x "$here/proxy"

# Writes the inventory for that machine alone.
alone() {
    cat > "$work/alone.yaml" << END
ssh: {user: $login}
machines:
  $machine: {address: $address, mac: "$mac", proxyCommand: $work/proxy}
os:
  systemSize: 16GB
  authorizedKeys: ["$authorized"]
END
}

# start FIRST [MAC]: switches the machine on; FIRST is what its firmware starts first, `disk` or `stick`.
start() {
    local disk=1 stick=2
    started_with=("$@")
    [ "$1" = disk ] || disk=3
    : > "$here/serial"
    setpriv --pdeathsig KILL "${inside[@]}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m "$memory" -nodefaults \
        -display none -vga std -machine q35,smm=on -global driver=cfi.pflash01,property=secure,value=on \
        -drive "if=pflash,format=raw,readonly=on,file=$firmware/OVMF_CODE_4M.ms.fd" -drive "if=pflash,format=raw,file=$here/variables" \
        -serial "file:$here/serial" -device qemu-xhci,id=usb \
        -drive "if=none,id=stick,format=raw,file=$here/stick.img" -device "usb-storage,bus=usb.0,drive=stick,bootindex=$stick" \
        -drive "if=none,id=disk,format=raw,file=$here/disk" -device "nvme,drive=disk,serial=BARE1,bootindex=$disk" \
        "${cable[@]}" -device "virtio-net-pci,netdev=cable,mac=${2:-$mac},romfile=" "${devices[@]}" > "$here/qemu" 2>&1 < /dev/null &
    qemu=$!
}
# Pulls the plug.
cut_power() {
    kill -KILL "$qemu"
    wait "$qemu" 2> /dev/null || true
}
blank_disk() {
    rm -f "$here/disk"
    truncate --size 20G "$here/disk"
}
new_firmware() { cp "$firmware/OVMF_VARS_4M.ms.fd" "$here/variables"; }
# Fails if QEMU ended. On a busy computer the kernel may find that its emulated timer does not work, before it begins anything else: once more.
runs() {
    kill -0 "$qemu" || { cat "$here/qemu" >&2; exit 1; }
    if grep -qaF 'IO-APIC + timer' "$here/serial"; then
        cut_power
        start "${started_with[@]}"
    fi
}
shown() { runs && grep -qaF -- "$1" "$here/serial"; }
# shows SECONDS TEXT: on the machine's screen, within that time.
shows() { wait_for "$1" "the screen to show: $2" shown "$2" || { tail -c 3000 "$here/serial" >&2; return 1; }; }
shows_not() { ! grep -qaF -- "$1" "$here/serial" || { echo "shown: $1" >&2; return 1; }; }
mark() { mtype -i "$here/stick.img@@1M" "::/hostler/marks/${mac//:/-}" 2> /dev/null; }
written() { stat --format %Y.%y "$here/disk"; }
# Only the host key that hostler made is accepted.
on_machine() {
    ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$HOME/.ssh/known_hosts" \
        -o "ProxyCommand=$here/proxy" -i "$identity" "$login@$address" "$@" 2> "$work/ssh"
}
answers() { runs && on_machine true; }
# answers_anew ID: with another system than the one with this machine-id.
answers_anew() { runs && id=$(on_machine cat /etc/machine-id) && [ -n "$id" ] && [ "$id" != "$1" ]; }
# Nothing can be started from the disk.
starts_nothing() {
    mv "$here/stick.img" "$here/stick.used"
    truncate --size 64M "$here/stick.img"
    start disk
    shows 300 "No bootable option or device was found"
    cut_power
    mv "$here/stick.used" "$here/stick.img"
}
# make_stick INVENTORY [ARGUMENTS...]: a new one, with a new order.
make_stick() {
    local of=$1
    shift
    rm -f "$here/stick.img"
    run 0 provision -i "$of" --usb "$here/stick.img" "$@"
}
# seen_after STARTED WHAT: a number worth writing down.
seen_after() { printf '          %s %d s\n' "$2" $(($(date +%s) - $1)); }
# on_data COMMAND: what debugfs does in the data partition while the machine is off; on_data -w COMMAND: and writes.
on_data() {
    local start
    start=$(partx --show --noheadings --output START --nr 3 "$here/disk")
    debugfs "${@:1:$#-1}" -R "${*: -1}" "$here/disk?offset=$((start * 512))" 2> "$work/debugfs"
}
# What hostler has printed so far.
said() { kill -0 "$begun" && grep -qF -- "$1" "$work/out"; }
