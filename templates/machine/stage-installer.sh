# The installer and its order go into memory of their own, and the running kernel is asked whether it would start them. Nothing else is changed: if
# it would not, the machine stays what it is.
folder={{ path.installer }}
if ! command -v kexec > /dev/null; then
{% filter indent(4, true) %}{% include "machine/packages.sh" %}{% endfilter %}

fi
{% include "machine/own-host-key.sh" %}
{% include "machine/unstage-installer.sh" %}
unstage
free=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
[ "${free:-0}" -ge {{ least }} ] || fail "only $((free / 1024)) MB of memory is free, and the installer needs {{ (least / 1024) | round | int }} MB: stop programs that use memory"
mkdir -p "$folder"
trap 'rm -rf "${said:-}"; umount "$folder" 2> /dev/null' EXIT
mount -t tmpfs -o mode=0700,size={{ room }}k hostler-installer "$folder"
take "$folder/vmlinuz" 600 {{ kernel.size }} {{ kernel.sha256 }}
take "$folder/initrd" 600 {{ initrd.size }} {{ initrd.sha256 }}
take "$folder/order.json" 600 {{ order.size }} {{ order.sha256 }}
{% include "machine/append-order.sh" %}
append_order "$folder"
{% include "machine/load-installer.sh" %}
load
# Loaded, any restart would start it.
kexec -s -u
printf '%s\n' {{ id | quote }} > "$folder/id"
# If the rest of the run never comes, the memory is free again after a while.
systemd-run --quiet --collect --unit hostler-installer --on-active 2h umount "$folder" ||
    fail "systemd did not start the timer that removes the installer from memory"
trap 'rm -rf "${said:-}"' EXIT
