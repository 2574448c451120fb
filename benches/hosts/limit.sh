# shellcheck shell=sh disable=SC2154 # what is not set here is set above
# The preparation as one script. Above it stand, quoted: name, hosts (hostler's lines of /etc/hosts), sums (as sha256sum prints them), sizes
# (BYTES PATH, a line each) and unit; standard input holds the files, one after the other.
set -eu
for program in conntrack socat ethtool ip iptables nft mount modprobe; do
    command -v "$program" > /dev/null || missing="${missing:-} $program"
done
[ -z "${missing:-}" ] || { echo "there is no$missing" >&2; exit 1; }

paths=$(printf '%s\n' "$sizes" | cut -d ' ' -f 2)
# shellcheck disable=SC2086 # words: no path here has a space
modes=$(stat -c '%a %U:%G' $paths 2> /dev/null | sort -u)
if [ "$modes" != '644 root:root' ] || ! printf '%s\n' "$sums" | sha256sum --check --status 2> /dev/null; then
    while read -r size path; do
        mkdir -p "${path%/*}"
        head -c "$size" <&3 > "$path.new"
        chmod 644 "$path.new"
        mv "$path.new" "$path"
    done 3<&0 << END
$sizes
END
fi

for module in overlay br_netfilter; do
    [ -d "/sys/module/$module" ] || grep -qw "$module" /proc/filesystems || modprobe "$module" 2> /dev/null || true
done
if sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables | grep -qvx 1; then
    sysctl -q -p /etc/sysctl.d/90-hostler.conf
fi

if [ "$(wc -l < /proc/swaps)" -gt 1 ]; then swapoff -a; fi
if grep -q '^[^#].*[[:space:]]swap[[:space:]]' /etc/fstab; then sed -i 's/^[^#].*[[:space:]]swap[[:space:]]/# &/' /etc/fstab; fi

if [ "$(sed -n '/^# hostler begin$/,/^# hostler end$/ { /^#/ !p }' /etc/hosts)" != "$hosts" ]; then
    sed -i '/^# hostler begin$/,/^# hostler end$/ d' /etc/hosts
    printf '# hostler begin\n%s\n# hostler end\n' "$hosts" >> /etc/hosts
fi
if [ "$(hostname)" != "$name" ]; then
    printf '%s\n' "$name" > /etc/hostname
    hostname "$name"
fi
systemctl is-enabled --quiet "$unit" 2> /dev/null || systemctl enable --quiet "$unit"
