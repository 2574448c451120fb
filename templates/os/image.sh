#!/bin/sh
# Runs on the user's computer, as root or as root of a user namespace: makes of an unpacked Debian ($1, a tar archive) the file system that
# the installer writes to machines, and takes from it what the installer itself consists of. Everything goes to the folder $2.
# The rest are the modules that the installer's kernel loads.
set -eu
archive=$1
out=$2
shift 2
root=$out/root

mkdir "$root"
# Device nodes can't be made in a user namespace; the kernel makes its own.
tar --extract --file "$archive" --directory "$root" --numeric-owner --exclude './dev/*'
kernel=$(basename "$root"/lib/modules/*)

# The installer's kernel, and its modules: decompressed, each after those that it needs.
cp --dereference "$root/boot/vmlinuz-$kernel" "$out/vmlinuz"
mkdir "$out/modules"
: > "$out/modules.order"
for module; do
    # One that this kernel has built in prints a line that begins with `builtin`.
    chroot "$root" modprobe --set-version "$kernel" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file" .xz)
    case $file in
        *.xz) xz --decompress --stdout "$root$file" > "$out/modules/$name" ;;
        *) cp "$root$file" "$out/modules/$name" ;;
    esac
    echo "$name" >> "$out/modules.order"
done

# What the firmware starts, signed: shim by Microsoft; GRUB and the kernel by Debian, whose key is in shim.
cp "$root/usr/lib/shim/shimx64.efi.signed" "$out/shim.efi"
cp "$root/usr/lib/shim/mmx64.efi.signed" "$out/mm.efi"
cp "$root/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$out/grub.efi"
# The one above reads /EFI/debian/grub.cfg alone, which is the installed system's. This one, made for CDs, reads /boot/grub/grub.cfg there.
cp "$root/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed" "$out/grub-cd.efi"

# Every machine gets its own of these.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname"
: > "$root/etc/machine-id"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/*
# No one logs in with a password.
sed -i 's/^root:[^:]*:/root:*:/' "$root/etc/shadow"

enabled=$root/etc/systemd/system/multi-user.target.wants
mkdir -p "$enabled" "$root/boot/efi" "$root/srv"
ln -sf /usr/lib/systemd/system/systemd-networkd.service "$enabled/systemd-networkd.service"
ln -sf /usr/lib/systemd/system/ssh.service "$enabled/ssh.service"

# Room for the files that are written before the file system is grown, and for its journal.
used=$(du --summarize --block-size 1M "$root" | cut -f 1)
truncate --size "$((used + used / 8 + 192))M" "$out/system.img"
# With a seed for its checksums, its UUID can be changed while it is mounted.
mke2fs -q -t ext4 -T default -b 4096 -m 1 -L hostler -O metadata_csum_seed -d "$root" "$out/system.img"
rm -rf "$root"
