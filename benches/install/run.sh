#!/usr/bin/env bash
# benches/install/run.sh HOSTLER [ROUNDS]: how long the installer takes to write a system, against `dd` of the same image over ssh to a disk of the
# same kind, on one machine of QEMU's as tests/lab/bare-stage.sh says. As root. Seconds.
#   stick        from the stick, the system's partition is written and its checksum compared
#   copy, write  of `rebuild --os`: the image goes to the machine over SSH; its installer writes it
#   written      from the command `rebuild --os` until the image is written, with the restart in between
#   dd           the image, not compressed, over ssh to `dd bs=4M conv=fsync`; the median of ROUNDS
#   zstd | dd    the same compressed, unpacked on the machine
set -euo pipefail
rounds=${2:-3}
lab=benchinstall
# shellcheck source=tests/lab/bare-stage.sh
. "$(dirname "$(realpath "$0")")/../../tests/lab/bare-stage.sh"

alone
inventory=$work/alone.yaml
echo '  disk: {serial: BARE1}' >> "$inventory"
truncate --size 20G "$work/other"
devices=(-drive "if=none,id=other,format=raw,file=$work/other" -device "nvme,drive=other,serial=BARE2,bootindex=9")

# Writes when each line came to the screen.
watch_screen() {
    tail --pid $$ --quiet --follow --lines +1 --sleep-interval 0.1 "$work/serial" 2> /dev/null | while IFS= read -r line; do
        printf '%s %s\n' "$EPOCHREALTIME" "$line"
    done > "$work/moments" &
    watcher=$!
}
# between FROM TO: seconds between the first lines with these words.
between() {
    awk -v from="$1" -v to="$2" '!begun && index($0, from) { begun = $1 } begun && !ended && index($0, to) { ended = $1 } END { printf "%.1f", ended - begun }' "$work/moments"
}
took() { awk -v began="$1" -v now="$EPOCHREALTIME" 'BEGIN { printf "%.1f", now - began }'; }
median() { printf '%s\n' "$@" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# Without the program between, through which hostler reaches it.
direct() {
    ssh -o BatchMode=yes -o "UserKnownHostsFile=$HOME/.ssh/known_hosts" -o HostKeyAlias="$address" -i "$identity" -p "$port" "$login@127.0.0.1" "$@"
}

run 0 os create
image=$(sed -n 's/.*exists: //p; s/.*is built: //p' "$work/out")/system.img.zst
zstd --test --quiet "$image"
make_stick "$inventory"
blank_disk
new_firmware
start disk
watch_screen
shows 900 "twilightsparkle is installed. Pull the stick out."
kill "$watcher"
stick=$(between "writing Debian to" "the image's checksum matches")
echo "stick $stick"
wait_for 900 "sshd to answer" answers
first=$(on_machine cat /etc/machine-id)
# What starts late is not to be measured.
settled() { on_machine systemctl is-system-running > "$work/state"; }
wait_for 300 "its services to have started" settled || cat "$work/state"
plain=() packed=()
for ((round = 1; round <= rounds; round++)); do
    began=$EPOCHREALTIME
    zstd --decompress --stdout --quiet "$image" | direct "sudo dd of=/dev/nvme1n1 bs=4M iflag=fullblock conv=fsync status=none"
    plain+=("$(took "$began")")
    began=$EPOCHREALTIME
    direct "zstd --decompress --stdout --quiet | sudo dd of=/dev/nvme1n1 bs=4M iflag=fullblock conv=fsync status=none" < "$image"
    packed+=("$(took "$began")")
    echo "dd ${plain[-1]}, zstd | dd ${packed[-1]}"
done
: > "$work/serial"
watch_screen
began=$EPOCHREALTIME
begin rebuild twilightsparkle --os -i "$inventory" --yes
shows 900 "the image's checksum matches"
written=$(took "$began")
wait_for 900 "the new system to answer" answers_anew "$first"
kill "$watcher" "$begun"
wait "$begun" || true
cut_power
write=$(between "writing Debian to" "the image's checksum matches")
# As hostler writes times: 43s, 1m55s.
copy=$(sed -n 's/.*add a firmware boot entry for it  done in \(.*\)s$/\1/p' "$work/out" | head -n 1 | awk -F m '{ print (NF == 2) ? 60 * $1 + $2 : $1 }')
dd=$(median "${plain[@]}") zstd=$(median "${packed[@]}")
printf '\nstick %s  copy %s  write %s  written %s  dd %s  zstd | dd %s\n' "$stick" "$copy" "$write" "$written" "$dd" "$zstd"
printf 'stick / dd %s  write / dd %s  (copy + write) / dd %s  stick / (zstd | dd) %s\n' \
    "$(ratio "$stick" "$dd")" "$(ratio "$write" "$dd")" "$(awk -v a="$copy" -v b="$write" -v c="$dd" 'BEGIN { printf "%.2f", (a + b) / c }')" \
    "$(ratio "$stick" "$zstd")"
