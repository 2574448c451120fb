# The installer and its order go to the EFI system partition, and the firmware gets an entry for them that it starts by itself never: it is in no
# order of starts. Nothing else is changed.
esp={{ esp | quote }}
folder=$esp/{{ installer.esp_folder }}
if ! command -v efibootmgr > /dev/null; then
{% filter indent(4, true) %}{% include "machine/packages.sh" %}{% endfilter %}

fi
{% include "machine/own-host-key.sh" %}
mountpoint -q "$esp" || fail "$esp is no longer mounted: run the same command again"
[ "$(stat -c %a "$esp")" = 700 ] || fail "users other than root can read $esp: run the same command again"
{% include "machine/unstage-installer.sh" %}
unstage
[ ! -e "$esp/{{ installer.esp_config }}" ] || fail "$esp has a configuration of another GRUB: run the same command again"
trap 'rm -rf "${said:-}"; unstage' EXIT
# FAT has no other rights than those of its mount.
take "$folder/vmlinuz" 700 {{ kernel.size }} {{ kernel.sha256 }}
take "$folder/initrd" 700 {{ initrd.size }} {{ initrd.sha256 }}
take "$folder/shimx64.efi" 700 {{ loaders.shim.size }} {{ loaders.shim.sha256 }}
# As shim looks for it.
take "$folder/grubx64.efi" 700 {{ loaders.grub.size }} {{ loaders.grub.sha256 }}
take "$folder/mmx64.efi" 700 {{ loaders.mok.size }} {{ loaders.mok.sha256 }}
take "$folder/order.json" 700 {{ order.size }} {{ order.sha256 }}
{% include "machine/append-order.sh" %}
append_order "$folder"
# This GRUB, made for CDs, looks for its configuration there; the installed system's does not.
config=$esp/{{ installer.esp_config }}
mkdir -p "${config%/*}"
cat > "$config" << 'END'
# Of an installation by hostler.
set timeout=0
linux /{{ installer.esp_folder }}/vmlinuz {{ installer.console }} {{ installer.memory }}
initrd /{{ installer.esp_folder }}/initrd
boot
END
device=$(findmnt --noheadings --nofsroot --output SOURCE "$esp")
disk=/dev/$(lsblk --noheadings --nodeps --output PKNAME "$device")
number=$(cat "/sys/class/block/${device##*/}/partition")
loader='\{{ installer.esp_folder | replace("/", "\\") }}\shimx64.efi'
efibootmgr --quiet --create-only --disk "$disk" --part "$number" --label {{ installer.entry }} --loader "$loader" > /dev/null ||
    fail "the firmware does not accept another boot entry: reboot the machine and try again, or use a stick: \`hostler provision\`"
[ "$(entries | wc -l)" = 1 ] || fail "the firmware does not list the new boot entry: reboot the machine and try again"
printf '%s\n' {{ id | quote }} > "$folder/id"
sync -f "$folder"
trap 'rm -rf "${said:-}"' EXIT
