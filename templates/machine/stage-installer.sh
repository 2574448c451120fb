# The installer and its order go into memory of their own, and the running kernel is asked whether it would start them. Nothing else is changed: if
# it would not, the machine stays what it is.
folder={{ path.installer }}
key=/etc/ssh/ssh_host_ed25519_key
if ! command -v kexec > /dev/null; then
{% filter indent(4, true) %}{% include "machine/packages.sh" %}{% endfilter %}

fi
public=$(ssh-keygen -y -f "$key" < /dev/null 2> /dev/null | cut -d ' ' -f 1,2) || :
[ "$public" = {{ host_key | quote }} ] || fail "the host key $key is not the one that was seen before: run the same command again"
# What an interrupted run left.
while mountpoint -q "$folder"; do umount "$folder"; done
free=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
[ "${free:-0}" -ge {{ least }} ] || fail "only $((free / 1024)) MB of memory is free, and the installer needs {{ (least / 1024) | round | int }} MB: stop what uses memory"
mkdir -p "$folder"
trap 'rm -rf "${said:-}"; umount "$folder" 2> /dev/null' EXIT
mount -t tmpfs -o mode=0700,size={{ room }}k hostler-installer "$folder"
take "$folder/vmlinuz" 600 {{ kernel.size }} {{ kernel.sha256 }}
take "$folder/initrd" 600 {{ installer.size }} {{ installer.sha256 }}
take "$folder/order.json" 600 {{ order.size }} {{ order.sha256 }}

# Archives behind each other are unpacked one after the other (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel): here a file
# of the initrd is appended. entry NAME [FILE]
entry() {
    size=0
    [ -z "${2:-}" ] || size=$(stat -c %s "$2")
    # With the NUL behind it.
    length=$(printf '%s\0' "$1" | wc -c)
    # Inode, mode (a file that its owner may read and write), owner, group, links, time, size, devices, length of the name, checksum.
    printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' 0 33152 0 0 1 0 "$size" 0 0 0 0 "$length" 0 "$1"
    head -c "$(((4 - (110 + length) % 4) % 4))" /dev/zero
    [ -z "${2:-}" ] || cat "$2"
    head -c "$(((4 - size % 4) % 4))" /dev/zero
}
# The private host key is for the new system, and leaves this machine's memory no more than the old system does.
{
    entry hostler/order.json "$folder/order.json"
    entry hostler/host_key "$key"
    entry 'TRAILER!!!'
} >> "$folder/initrd"
rm -f "$folder/order.json"
{% include "machine/load-installer.sh" %}
load
# Loaded, any restart would start it.
kexec -s -u
printf '%s\n' {{ id | quote }} > "$folder/id"
trap 'rm -rf "${said:-}"' EXIT
