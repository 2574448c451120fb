#!/bin/bash
# bare.sh HOSTLER: machines without a system: a stick installs them, once, and nothing that it should not touch; installed again without a
# stick; erased. As bare-stage.sh says.
# shellcheck disable=SC2016,SC2154 # quoted for the machine; variables are bare-stage.sh's
# shellcheck source=tests/lab/bare-stage.sh
. "$(dirname "$(realpath "$0")")/bare-stage.sh"

alone
inventory=$work/inventory.yaml
# The others never answer.
sed '/^machines:/a\
  rainbowdash: {address: 192.168.1.12, mac: "52:54:00:12:34:57"}\
  applejack: 192.168.1.13' "$work/alone.yaml" > "$inventory"

row "the image is built once; a stick is made in seconds, and replaces nothing but a stick"
run 0 os create
within 5 run 0 os create
says "already exists"
within 20 make_stick "$inventory"
says "twilightsparkle ($mac): on "
says "its only disk"
says "your router must assign 10.0.2.15 to the machine"
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
seen_after "$started" "installed after"
wait_for 900 "sshd to answer" answers
seen_after "$started" "sshd answers after"
grep -q '"done"' <(mark)
[ "$(on_machine hostname)" = twilightsparkle ]
on_machine 'sudo -n true && findmnt /srv > /dev/null && [ -z "$(systemctl --failed --quiet)" ]'
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

row "rebuild --os, with no stick: the firmware starts the installer, once; /srv and the host key stay, all else is new, and it sets its address"
on_machine 'ip -4 -oneline address show scope global dynamic' | grep -qF 10.0.2.15/24
echo '  network: {subnet: 10.0.2.0/24, gateway: 10.0.2.2, nameservers: [10.0.2.3]}' >> "$work/alone.yaml"
on_machine 'echo old | sudo tee /etc/old > /dev/null'
: > "$work/serial"
started=$(date +%s)
begin rebuild twilightsparkle --os -i "$work/alone.yaml" --yes
shows 900 "this is twilightsparkle ($mac)"
seen_after "$started" "the installer runs after"
says "to /boot/efi, and add a firmware boot entry for it"
says "the data partition (/srv) is kept"
says "other disks are left alone"
shows 900 "twilightsparkle is installed, and restarts."
seen_after "$started" "installed after"
wait_for 900 "the new system to answer" answers_anew "$first"
seen_after "$started" "the new system answers after"
wait_for 600 "hostler to go on" said "hostler gathered the facts again and made a new plan:"
# It would make a cluster of it now, which takes an emulated machine an hour; bare-cluster.sh has another machine for that.
kill -TERM "$begun"
wait "$begun" || true
[ "$(on_machine cat /srv/films)" = films ]
on_machine 'sudo efibootmgr' > "$work/entries"
grep -q debian "$work/entries"
# Neither its entry nor what is to be started next is left.
[ "$(grep -c 'hostler-install\|BootNext' "$work/entries")" = 0 ]
on_machine 'ip -4 -oneline address show scope global permanent' | grep -qF 10.0.2.15/24
on_machine 'ip -4 route show default' | grep -F 'via 10.0.2.2 ' | grep -q 'proto static'
on_machine 'resolvectl dns' | grep -qF 10.0.2.3
on_machine '[ ! -e /etc/old ] && sudo -n true && findmnt /srv > /dev/null && [ -z "$(systemctl --failed --quiet)" ]'
grep -qF '[integrity]' <(on_machine cat /sys/kernel/security/lockdown)

row "remove --erase: the running kernel starts the installer, which erases the disk, says how, and switches the machine off"
# For the rows below: no system is started from this copy.
on_machine sync
cp --sparse=always "$work/disk" "$work/disk.installed"
: > "$work/serial"
begin remove twilightsparkle --erase -i "$work/alone.yaml" --yes
shows 900 "erasure order"
says "copy the installer"
says "into memory"
says "the data partition (/srv) with all files on it"
shows 600 "twilightsparkle:"
shows 10 "The machine now powers off."
grep -aE 'The drive erased|All blocks were|Only partition|Not possible' "$work/serial" | sed 's/^/        /'
is_off() { ! kill -0 "$qemu" 2> /dev/null; }
wait_for 120 "the machine to be off" is_off
[ "$(head -c 4M "$work/disk" | tr -d '\0' | wc -c)" = 0 ]
[ "$(tail -c 1M "$work/disk" | tr -d '\0' | wc -c)" = 0 ]
ends 0
says "now delete twilightsparkle from"
mv "$work/disk" "$work/disk.erased"

row "the order was used: from the same stick nothing is written, and the installed system starts, though the stick is first and stays in"
mv "$work/disk.installed" "$work/disk"
before=$(written)
start stick
shows 600 "twilightsparkle is installed. Pull the stick out."
shows_not "looking for disks"
[ "$(written)" = "$before" ]
wait_for 900 "sshd to answer" answers
cut_power
before=$(written)

row "a disk with a system is refused without --wipe; that uses the order up, also for a blank disk"
make_stick "$inventory"
start stick
shows 600 "nvme0n1 holds data, "
shows 1 "a system that hostler installed"
shows 10 "The installer has stopped."
cut_power
[ "$(written)" = "$before" ]
grep -q '"failed"' <(mark)
mv "$work/disk.erased" "$work/disk"
before=$(written)
start stick
shows 600 "an earlier installation from this stick failed: nvme0n1 holds data"
shows_not "looking for disks"
cut_power
[ "$(written)" = "$before" ]

row "a machine that is not in the inventory shows what to write into it, and nothing is written"
start stick 52:54:00:12:34:99
shows 600 "This machine is not in the inventory. Nothing was changed."
shows 10 'mac: "52:54:00:12:34:99"'
shows 10 "serial BARE1"
cut_power
[ "$(written)" = "$before" ]

row "a damaged image is never started; to the installer, the disk that was erased is an empty one"
make_stick "$inventory"
mcopy -i "$work/stick.img@@1M" ::/hostler/order.json "$work/order.json"
sed -i 's/"sha256": "[0-9a-f]\{4\}/"sha256": "0000/' "$work/order.json"
mcopy -o -i "$work/stick.img@@1M" "$work/order.json" ::/hostler/order.json
new_firmware
start disk
shows 600 "the image is damaged"
cut_power
starts_nothing
printf '%d rows passed\n' "$rows"
