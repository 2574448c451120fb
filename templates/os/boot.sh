# Runs in the new system, before its first start, as root, as the last: makes it possible to start it.
set -eu
# Through one pipe, in order.
exec 2>&1
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH DEBIAN_FRONTEND=noninteractive
esp={{ esp | quote }}
system={{ system | quote }}

mkfs.vfat -F 32 -n ESP "$esp"
mount -t vfat "$esp" /boot/efi
uuid() { blkid -c /dev/null -o value -s UUID "$1"; }
esp_uuid=$(uuid "$esp")
system_uuid=$(uuid "$system")
# A machine without its ESP still runs.
echo "UUID=$esp_uuid /boot/efi vfat umask=0077,nofail 0 1" >> /etc/fstab

# As the installer's own kernel has it: a machine without a serial port ignores the first.
mkdir -p /etc/default/grub.d
cat > /etc/default/grub.d/hostler.cfg << 'END'
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX="console=ttyS0,115200 console=tty0"
END
# No udev runs here, and without this link GRUB would be given a name that may be another disk's after the next start.
mkdir -p /dev/disk/by-uuid
ln -sf "$system" "/dev/disk/by-uuid/$system_uuid"
echo 'grub-efi-amd64 grub2/force_efi_extra_removable boolean true' | debconf-set-selections
update-grub
# The entry by which the firmware may have started this installer: its files were on the old ESP.
efibootmgr | sed -n 's/^Boot\([0-9A-F]\{4\}\)[* ] {{ installer.entry }}\([^-A-Za-z0-9].*\)*$/\1/p' | while read -r entry; do
    efibootmgr --quiet --delete-bootnum --bootnum "$entry" > /dev/null || :
done
# Last: entries of the firmware with this name are replaced.
grub-install --target=x86_64-efi --efi-directory=/boot/efi --bootloader-id={{ entry }} --uefi-secure-boot --force-extra-removable
umount /boot/efi
