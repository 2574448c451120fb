swapoff -a
# Only real swap lines are commented out; every other line of fstab stays as it is, byte by byte.
if [ -e /etc/fstab ] && awk '!/^[ \t]*#/ && $3 == "swap" { found = 1 } END { exit !found }' /etc/fstab; then
    awk '!/^[ \t]*#/ && $3 == "swap" { print "# hostler: " $0; next } { print }' /etc/fstab > /etc/fstab.hostler-new
    chmod --reference=/etc/fstab /etc/fstab.hostler-new
    chown --reference=/etc/fstab /etc/fstab.hostler-new
    mv -f /etc/fstab.hostler-new /etc/fstab
fi
# The same units that facts.sh knows. One whose file is in /etc/systemd/system can't be masked, one that a generator made not disabled.
systemctl list-unit-files --no-legend --plain '*.swap' zramswap.service zram-config.service dphys-swapfile.service |
    awk '$2 != "masked" { print $1 }' |
    while read -r unit; do
        systemctl disable --now "$unit" 2> /dev/null || systemctl stop "$unit" || true
        systemctl mask "$unit" 2> /dev/null || true
    done
if [ -e /usr/lib/systemd/system-generators/zram-generator ] || [ -e /lib/systemd/system-generators/zram-generator ]; then
    : > /etc/systemd/zram-generator.conf
fi
systemctl daemon-reload
[ "$(wc -l < /proc/swaps)" -le 1 ] || fail "swap is still on: $(awk 'NR > 1 { print $1 }' /proc/swaps)"
