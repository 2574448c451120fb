# Runs in the new system, before its first start, as root: makes it this machine's own. What is secret was written into it before. Nothing can
# be started from the disk yet.
set -eu
# Through one pipe, in order.
exec 2>&1
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH DEBIAN_FRONTEND=noninteractive
name={{ name | quote }}
user={{ user | quote }}
system={{ system | quote }}
data={{ data | quote }}

{% if format_data %}
mkfs.ext4 -q -L {{ layout.data }} "$data"
{% endif %}
# Two disks with the same image must not be taken for each other.
tune2fs -U random "$system"
resize2fs "$system"
field() { blkid -c /dev/null -o value -s "$2" "$1"; }
uuid=$(field "$system" UUID)
echo "UUID=$uuid / ext4 errors=remount-ro 0 1" > /etc/fstab
if [ -n "$data" ]; then
    uuid=$(field "$data" UUID)
    kind=$(field "$data" TYPE)
    # A machine without it still runs.
    echo "UUID=$uuid /srv $kind nofail,nosuid,nodev 0 2" >> /etc/fstab
fi

echo "$name" > /etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost ip6-loopback\n' "$name" > {{ path.hosts }}
cat > /etc/systemd/network/10-hostler.network << 'END'
[Match]
MACAddress={{ mac }}
Kind=!*

[Network]
{% if network %}
Address={{ network.address }}
Gateway={{ network.gateway }}
{% for nameserver in network.nameservers %}
DNS={{ nameserver }}
{% endfor %}
{% else %}
DHCP=yes

[DHCPv4]
# The router knows the machine by its MAC address.
ClientIdentifier=mac
{% endif %}
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
mkdir -p "$home/.ssh"
chmod 0700 "$home/.ssh"
mv {{ path.new_authorized_keys }} "$home/.ssh/authorized_keys"
chmod 0600 "$home/.ssh/authorized_keys"
chown -R "$user:" "$home/.ssh"

{% if rejoins %}
# A run that was interrupted goes on from here: it does not install the system once more.
mkdir -p {{ path.applied }}
echo {{ rejoins | quote }} > {{ path.applied }}/{{ mark.reinstall }}

{% endif %}
cat > /etc/apt/apt.conf.d/20auto-upgrades << 'END'
APT::Periodic::Update-Package-Lists "{{ '1' if updates == 'security' else '0' }}";
APT::Periodic::Unattended-Upgrade "{{ '1' if updates == 'security' else '0' }}";
END
