#!/bin/bash
# bare.sh HOSTLER: machines without a system, as QEMU's with UEFI and Secure Boot: a stick installs them, once, and nothing that it should not
# touch. Emulated, a start takes half a minute and an installation two. As rows.sh says.
# shellcheck disable=SC2016,SC2154,SC2317 # quoted for the machine; work is set by rows.sh; functions are called by wait_for
set -euo pipefail
hostler=$(realpath "$1")
lab="bare"
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

for program in qemu-system-x86_64 mtype setpriv ssh-keygen; do
    command -v "$program" > /dev/null || { echo "$program is missing: apt-get install qemu-system-x86 mtools util-linux openssh-client" >&2; exit 1; }
done
firmware=/usr/share/OVMF
[ -e "$firmware/OVMF_CODE_4M.ms.fd" ] || { echo "$firmware is missing: apt-get install ovmf" >&2; exit 1; }

mac=52:54:00:12:34:56
port=$((20000 + $$ % 10000))
export HOME=$work/home
install --directory --mode 0700 "$HOME" "$HOME/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$HOME/.ssh/id_ed25519"
# QEMU's own network gives the machine this address, which only it can reach.
cat > "$work/proxy" << END
#!/bin/bash
exec 3<> /dev/tcp/127.0.0.1/$port
cat <&3 &
cat >&3
END
chmod +x "$work/proxy"
inventory=$work/inventory.yaml
cat > "$inventory" << END
ssh: {user: ada}
machines:
  twilightsparkle: {address: 10.0.2.15, mac: "$mac", proxyCommand: $work/proxy}
  rainbowdash: {address: 192.168.1.12, mac: "52:54:00:12:34:57"}
  applejack: 192.168.1.13
os:
  systemSize: 16GB
  authorizedKeys: ["$(cat "$HOME/.ssh/id_ed25519.pub")"]
END

# The others never answer.
sed '/^  rainbowdash:/d; /^  applejack:/d' "$inventory" > "$work/alone.yaml"

# start FIRST [MAC]: switches the machine on; FIRST is what its firmware starts first, `disk` or `stick`.
start() {
    local disk=1 stick=2
    started_with=("$@")
    [ "$1" = disk ] || disk=3
    : > "$work/serial"
    setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 -nodefaults -display none -vga std \
        -machine q35,smm=on -global driver=cfi.pflash01,property=secure,value=on \
        -drive "if=pflash,format=raw,readonly=on,file=$firmware/OVMF_CODE_4M.ms.fd" -drive "if=pflash,format=raw,file=$work/variables" \
        -serial "file:$work/serial" -device qemu-xhci,id=usb \
        -drive "if=none,id=stick,format=raw,file=$work/stick.img" -device "usb-storage,bus=usb.0,drive=stick,bootindex=$stick" \
        -drive "if=none,id=disk,format=raw,file=$work/disk" -device "nvme,drive=disk,serial=BARE1,bootindex=$disk" \
        -netdev "user,id=cable,hostfwd=tcp:127.0.0.1:$port-:22" \
        -device "virtio-net-pci,netdev=cable,mac=${2:-$mac},romfile=" > "$work/qemu" 2>&1 < /dev/null &
    qemu=$!
}
# Pulls the plug.
cut_power() {
    kill -KILL "$qemu"
    wait "$qemu" 2> /dev/null || true
}
blank_disk() {
    rm -f "$work/disk"
    truncate --size 20G "$work/disk"
}
new_firmware() { cp "$firmware/OVMF_VARS_4M.ms.fd" "$work/variables"; }
# Fails if QEMU ended. On a busy computer the kernel may find that its emulated timer does not work, before it begins anything else: once more.
runs() {
    kill -0 "$qemu" || { cat "$work/qemu" >&2; exit 1; }
    if grep -qaF 'IO-APIC + timer' "$work/serial"; then
        cut_power
        start "${started_with[@]}"
    fi
}
shown() { runs && grep -qaF -- "$1" "$work/serial"; }
# shows SECONDS TEXT: on the machine's screen, within that time.
shows() { wait_for "$1" "the screen to show: $2" shown "$2" || { tail -c 3000 "$work/serial" >&2; return 1; }; }
shows_not() { ! grep -qaF -- "$1" "$work/serial" || { echo "shown: $1" >&2; return 1; }; }
mark() { mtype -i "$work/stick.img@@1M" "::/hostler/marks/${mac//:/-}" 2> /dev/null; }
written() { stat --format %Y.%y "$work/disk"; }
# Only the host key that hostler made is accepted.
on_machine() {
    ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$HOME/.ssh/known_hosts" \
        -o HostKeyAlias=10.0.2.15 -i "$HOME/.ssh/id_ed25519" -p "$port" ada@127.0.0.1 "$@" 2> "$work/ssh"
}
answers() { runs && on_machine true; }
provision() {
    rm -f "$work/stick.img"
    run 0 provision -i "$inventory" --usb "$work/stick.img" "$@"
}

row "the image is built once; a stick is made in seconds, and replaces nothing but a stick"
run 0 os create
within 5 run 0 os create
says "already exists"
within 20 provision
says "twilightsparkle: $mac gets 10.0.2.15 from your router; "
says "its only disk"
says "only if it is empty"
says ": not installed, because it has no \`mac\`"
[ "$(stat --format %a "$work/stick.img")" = 600 ]
run 0 provision -i "$inventory" --usb "$work/stick.img"
run 3 provision -i "$inventory" --usb "$inventory"
says "is not a stick image that hostler made"

row "from a blank disk, with Secure Boot: the stick installs Debian, which starts by itself and answers with the key that is known"
blank_disk
new_firmware
started=$(date +%s)
start disk
shows 600 "twilightsparkle is installed. Pull the stick out."
printf '          installed %d s after power on\n' $(($(date +%s) - started))
wait_for 900 "sshd to answer" answers
printf '          sshd answers %d s after power on\n' $(($(date +%s) - started))
grep -q '"done"' <(mark)
[ "$(on_machine hostname)" = twilightsparkle ]
on_machine 'sudo -n true && grep -q integrity /sys/kernel/security/lockdown && findmnt /srv > /dev/null && [ -z "$(systemctl --failed --quiet)" ]'
grep -qF '[integrity]' <(on_machine cat /sys/kernel/security/lockdown)
[ "$(on_machine wc -l '<' /proc/swaps)" = 1 ]
[ -n "$(find "$XDG_DATA_HOME/hostler/host-keys" -name twilightsparkle.awaited)" ]
run 0 plan -i "$work/alone.yaml" --verbose
# It has answered: it has a system.
[ -z "$(find "$XDG_DATA_HOME/hostler/host-keys" -name twilightsparkle.awaited)" ]
says "kubeadm init"
says_not "not installed"
says_not "swap is on"
on_machine 'echo films | sudo tee /srv/films > /dev/null && sync'
first=$(on_machine cat /etc/machine-id)

row "rebuild --os, with no stick: the firmware starts the installer, once; /srv and the host key stay, and all else is new"
on_machine 'echo old | sudo tee /etc/old > /dev/null'
: > "$work/serial"
started=$(date +%s)
begin rebuild twilightsparkle --os -i "$work/alone.yaml" --yes
shows 900 "this is twilightsparkle ($mac)"
printf '          the installer runs %d s after the command\n' $(($(date +%s) - started))
says "to /boot/efi, and make an entry of the firmware that can start it once"
says "the data partition (/srv) stays"
says "other disks are left alone"
shows 900 "twilightsparkle is installed, and restarts."
printf '          installed after %d s\n' $(($(date +%s) - started))
anew() { runs && id=$(on_machine cat /etc/machine-id) && [ -n "$id" ] && [ "$id" != "$first" ]; }
wait_for 900 "the new system to answer" anew
printf '          the new system answers after %d s\n' $(($(date +%s) - started))
said() { kill -0 "$begun" && grep -qF -- "$1" "$work/out"; }
wait_for 600 "hostler to go on" said "hostler gathered the facts again and made a new plan:"
# It would make a cluster of it now, which takes an emulated machine an hour.
kill -TERM "$begun"
wait "$begun" || true
[ "$(on_machine cat /srv/films)" = films ]
on_machine 'sudo efibootmgr' > "$work/entries"
grep -q debian "$work/entries"
# Neither its entry nor what is to be started next is left.
[ "$(grep -c 'hostler-install\|BootNext' "$work/entries")" = 0 ]
on_machine '[ ! -e /etc/old ] && sudo -n true && findmnt /srv > /dev/null && [ -z "$(systemctl --failed --quiet)" ]'
grep -qF '[integrity]' <(on_machine cat /sys/kernel/security/lockdown)
cut_power

row "the order was used: from the same stick nothing is written"
before=$(written)
start stick
shows 600 "twilightsparkle is installed. Pull the stick out."
shows_not "looking for disks"
cut_power
[ "$(written)" = "$before" ]

row "a disk with a system is refused without --wipe; that uses the order up, also for a blank disk"
provision
start stick
shows 600 "nvme0n1 is not empty: it has a system that hostler installed"
shows 10 "Nothing more happens by itself."
cut_power
[ "$(written)" = "$before" ]
grep -q '"failed"' <(mark)
mv "$work/disk" "$work/disk.installed"
blank_disk
before=$(written)
start stick
shows 600 "this order was used: nvme0n1 is not empty"
cut_power
[ "$(written)" = "$before" ]

row "a machine that is not in the inventory shows what to write into it, and nothing is written"
start stick 52:54:00:12:34:99
shows 600 "This machine is not in the inventory. Nothing was changed."
shows 10 'mac: "52:54:00:12:34:99"'
shows 10 "serial BARE1"
cut_power
[ "$(written)" = "$before" ]

row "a damaged image is never started"
provision
mcopy -i "$work/stick.img@@1M" ::/hostler/order.json "$work/order.json"
sed -i 's/"sha256": "[0-9a-f]\{4\}/"sha256": "0000/' "$work/order.json"
mcopy -o -i "$work/stick.img@@1M" "$work/order.json" ::/hostler/order.json
new_firmware
start disk
shows 600 "the image is damaged"
cut_power
mv "$work/stick.img" "$work/stick.used"
truncate --size 64M "$work/stick.img"
start disk
shows 300 "No bootable option or device was found"
cut_power
rm "$work/stick.img"

row "installed again with --wipe, the power cut twice: the same stick goes on; /srv and the host key stay"
mv "$work/disk.installed" "$work/disk"
provision --wipe twilightsparkle
says "which is erased, except for a data partition of hostler's"
start stick
shows 600 "written 201 "
cut_power
# The partitions have their names, and the ESP is not complete.
start stick
shows 600 "Installing for x86_64-efi platform"
cut_power
grep -q '"times":2' <(mark)
start stick
shows 900 "twilightsparkle is installed. Pull the stick out."
cut_power
start disk
wait_for 900 "sshd to answer" answers
[ "$(on_machine cat /srv/films)" = films ]
[ "$(on_machine cat /etc/machine-id)" != "$first" ]

row "rebuild --os with an image whose checksum is wrong: the installer shows it and waits; the order is used up, and nothing starts from the disk"
# The image of another cache, whose record has another checksum. Hard links: the files are the same.
mkdir -p "$work/cache"
cp --recursive --link "${HOSTLER_CACHE:-/var/cache/hostler}/os" "${HOSTLER_CACHE:-/var/cache/hostler}/bundles" "$work/cache/"
for known in "$work/cache/os"/*/image.json; do
    sed 's/"sha256":"[0-9a-f]\{4\}/"sha256":"0000/' "$known" > "$known.new"
    mv "$known.new" "$known"
done
: > "$work/serial"
HOSTLER_CACHE=$work/cache begin rebuild twilightsparkle --os -i "$work/alone.yaml" --yes
shows 900 "the image is damaged"
shows 10 "The installer has stopped."
kill -TERM "$begun"
wait "$begun" || true
cut_power
mv "$work/stick.img" "$work/stick.used"
truncate --size 64M "$work/stick.img"
start disk
shows 300 "No bootable option or device was found"
cut_power
rm "$work/stick.img"

row "the power is cut at several moments of an installation: the same stick goes on, no more than twice; /srv and the host key stay"
seed=${SEED:-$(date +%s)}
printf '          SEED=%s\n' "$seed"
RANDOM=$seed
moments=("looking for disks" "disk nvme0n1" "writing Debian to" "written 67 " "written 201 " "written 268 " "the image's checksum matches" \
    "Resizing the filesystem" "Installing for x86_64-efi platform" "Installation finished")
cuts=${CUTS:-4}
provision --wipe twilightsparkle
starts=0
for ((n = 0; n < cuts; n++)); do
    # A stick starts an installation three times.
    if [ "$starts" = 2 ]; then
        provision --wipe twilightsparkle
        starts=0
    fi
    moment=${moments[RANDOM % ${#moments[@]}]}
    printf '          cut at: %s\n' "$moment"
    start stick
    shows 600 "$moment"
    cut_power
    starts=$((starts + 1))
done
start stick
shows 900 "twilightsparkle is installed. Pull the stick out."
cut_power
start disk
wait_for 900 "sshd to answer" answers
[ "$(on_machine cat /srv/films)" = films ]

row "remove --erase: the running kernel starts the installer, which erases the disk, says how, and switches the machine off"
: > "$work/serial"
begin remove twilightsparkle --erase -i "$work/alone.yaml" --yes
shows 900 "to erase twilightsparkle"
says "copy the installer"
says "into memory"
says "the data partition (/srv) with all files on it"
shows 600 "twilightsparkle:"
shows 10 "The machine now switches itself off."
grep -aE 'The drive erased|All blocks were|Only partition|Not possible' "$work/serial" | sed 's/^/        /'
is_off() { ! kill -0 "$qemu" 2> /dev/null; }
wait_for 120 "the machine to be off" is_off
# What a stick would take for an empty disk.
[ "$(head -c 4M "$work/disk" | tr -d '\0' | wc -c)" = 0 ]
[ "$(tail -c 1M "$work/disk" | tr -d '\0' | wc -c)" = 0 ]
ends 0
says "now delete twilightsparkle from"
printf '%d rows passed\n' "$rows"
