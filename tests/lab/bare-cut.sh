#!/bin/bash
# bare-cut.sh HOSTLER: installations that do not come to their end: the power is cut at every moment of a list, in an order that SEED decides, and
# an image is damaged. As bare-stage.sh says. CUTS: that many moments instead of all.
# shellcheck disable=SC2154 # variables are bare-stage.sh's
# shellcheck source=tests/lab/bare-stage.sh
. "$(dirname "$(realpath "$0")")/bare-stage.sh"

alone
inventory=$work/alone.yaml
is_installed() { shows 900 "twilightsparkle is installed. Pull the stick out."; }

row "a blank disk, the power cut three times: the same stick starts over twice, and no more; nothing is written then"
make_stick "$inventory"
blank_disk
new_firmware
for moment in "written 201 " "Installing for x86_64-efi platform" "written 67 "; do
    start stick
    shows 600 "$moment"
    cut_power
done
grep -q '"times":3' <(mark)
before=$(written)
start stick
shows 600 "the installation was started 3 times and never finished"
shows 10 "The installer has stopped."
shows_not "looking for disks"
cut_power
[ "$(written)" = "$before" ]
starts_nothing

row "a new stick goes on from there, without --wipe"
make_stick "$inventory"
start stick
is_installed
cut_power
grep -q '"done"' <(mark)
# What a user would have there by now.
echo films > "$work/films"
on_data -w "write $work/films films" > "$work/out"
[ "$(on_data "cat films")" = films ]

row "the power is cut at ten moments of an installation with --wipe: the same stick goes on; /srv and the host key stay"
seed=${SEED:-$(date +%s)}
printf '          SEED=%s\n' "$seed"
RANDOM=$seed
moments=("looking for disks" "disk nvme0n1" "writing Debian to" "written 67 " "written 201 " "written 738 " "the image's checksum matches" \
    "The filesystem on" "Installing for x86_64-efi platform" "Installation finished")
left=${CUTS:-${#moments[@]}}
starts=2
while [ "$left" -gt 0 ]; do
    # A stick starts an installation three times; the last of them is the one that comes to its end.
    if [ "$starts" = 2 ]; then
        make_stick "$inventory" --wipe twilightsparkle
        starts=0
    fi
    n=$((RANDOM % ${#moments[@]}))
    printf '          cut at: %s\n' "${moments[n]}"
    start stick
    shows 600 "${moments[n]}"
    cut_power
    starts=$((starts + 1))
    moments=("${moments[@]:0:n}" "${moments[@]:n+1}")
    left=$((left - 1))
done
start stick
is_installed
cut_power
[ "$(on_data "cat films")" = films ]
start disk
wait_for 900 "sshd to answer" answers
[ "$(on_machine cat /srv/films)" = films ]

row "rebuild --os with an image whose checksum is wrong: the installer shows it and waits; nothing can be started from the disk"
# The image of another cache, whose record has another checksum.
cache=${HOSTLER_CACHE:-/var/cache/hostler}
mkdir -p "$work/cache"
ln -s "$cache/bundles" "$work/cache/bundles"
cp --recursive --reflink=auto "$cache/os" "$work/cache/"
for known in "$work/cache/os"/*/image.json; do
    sed -i 's/"sha256":"[0-9a-f]\{4\}/"sha256":"0000/' "$known"
done
: > "$work/serial"
HOSTLER_CACHE=$work/cache begin rebuild twilightsparkle --os -i "$inventory" --yes
shows 900 "the image is damaged"
shows 10 "The installer has stopped."
kill -TERM "$begun"
wait "$begun" || true
cut_power
starts_nothing

row "the way out that docs/bare-metal.md names: a stick with --wipe; /srv stays"
make_stick "$inventory" --wipe twilightsparkle
start stick
is_installed
cut_power
[ "$(on_data "cat films")" = films ]
printf '%d rows passed\n' "$rows"
