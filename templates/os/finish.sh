# Runs in the new system, before its first start, as root: makes it this machine's own. What is secret was written into it before.
set -eu
# Through one pipe, in order.
exec 2>&1
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH DEBIAN_FRONTEND=noninteractive
name={{ name | quote }}
user={{ user | quote }}
esp={{ esp | quote }}
system={{ system | quote }}
data={{ data | quote }}

{% if format_data %}
mkfs.ext4 -q -L hostler-data "$data"
{% endif %}
# Two disks with the same image must not be taken for each other.
tune2fs -U random "$system"
resize2fs "$system"
mkfs.vfat -F 32 -n ESP "$esp"
mount -t vfat "$esp" /boot/efi
uuid() { blkid -c /dev/null -o value -s UUID "$1"; }
{
    echo "UUID=$(uuid "$system") / ext4 errors=remount-ro 0 1"
    # A machine without its ESP still runs.
    echo "UUID=$(uuid "$esp") /boot/efi vfat umask=0077,nofail 0 1"
    [ -z "$data" ] || echo "UUID=$(uuid "$data") /srv ext4 nofail,nosuid,nodev 0 2"
} > /etc/fstab

echo "$name" > /etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost ip6-loopback\n' "$name" > /etc/hosts
cat > /etc/systemd/network/10-hostler.network << 'END'
[Match]
MACAddress={{ mac }}
Kind=!*

[Network]
DHCP=yes

[DHCPv4]
# The router knows the machine by its MAC address.
ClientIdentifier=mac
END

keys=/etc/ssh/ssh_host_ed25519_key
ssh-keygen -y -f "$keys" > "$keys.pub"
if [ "$user" = root ]; then
    home=/root
else
    useradd --create-home --shell /bin/bash --groups sudo -- "$user"
    home=$(getent passwd "$user" | cut -d : -f 6)
    # A file whose name has a dot is ignored.
    printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$user" > /etc/sudoers.d/hostler
    chmod 0440 /etc/sudoers.d/hostler
    visudo --check --quiet
fi
mkdir -p -m 0700 "$home/.ssh"
mv /etc/hostler-authorized-keys "$home/.ssh/authorized_keys"
chmod 0600 "$home/.ssh/authorized_keys"
chown -R "$user:" "$home/.ssh"

cat > /etc/apt/apt.conf.d/20auto-upgrades << 'END'
APT::Periodic::Update-Package-Lists "{{ '1' if updates == 'security' else '0' }}";
APT::Periodic::Unattended-Upgrade "{{ '1' if updates == 'security' else '0' }}";
END

# As the installer's own kernel has it: a machine without a serial port ignores the first.
mkdir -p /etc/default/grub.d
cat > /etc/default/grub.d/hostler.cfg << 'END'
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX="console=ttyS0,115200 console=tty0"
END
# No udev runs here, and without this link GRUB would be given a name that may be another disk's after the next start.
mkdir -p /dev/disk/by-uuid
ln -sf "$system" "/dev/disk/by-uuid/$(uuid "$system")"
# Entries of the firmware with this name are replaced.
grub-install --target=x86_64-efi --efi-directory=/boot/efi --bootloader-id=debian --uefi-secure-boot --force-extra-removable
echo 'grub-efi-amd64 grub2/force_efi_extra_removable boolean true' | debconf-set-selections
update-grub
umount /boot/efi
