name={{ name | quote }}
printf '%s\n' "$name" > /etc/hostname.hostler-new
chmod 644 /etc/hostname.hostler-new
mv -f /etc/hostname.hostler-new /etc/hostname
hostname "$name"
