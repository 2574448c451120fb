# Of facts.sh: how well and how fast disks are, and what a new system has to know of them.

# The health of disks that tell of it. One that sleeps is not woken up.
about_disks() {
    command -v smartctl > /dev/null || return 0
    left=16
    for disk in /sys/block/*; do
        disk=${disk##*/}
        case $disk in loop* | ram* | zram* | dm-* | md* | sr* | fd* | nbd*) continue ;; esac
        [ "$left" != 0 ] || return 0
        left=$((left - 1))
        report=$(timeout 3 smartctl --json=c -n standby -H -A "/dev/$disk" 2> /dev/null | head -c 65536 | tr '\n\t' '  ')
        say smart "$disk" "$report"
    done
}

# How long a write of etcd's takes until it is on the disk, where a control plane may come: what fio does with --bs=2300 --fdatasync=1. In a file that is
# there already, as etcd's log is, and for a second at most. dd says itself how long it took, so that starting it does not count.
about_fsync() {
    if [ -z "$fsync" ] || [ -e {{ path.kubelet_kubeconfig }} ] || [ ! -w /var/lib ]; then return 0; fi
    dd if=/dev/zero of={{ path.fsync_probe }} bs=230000 count=1 conv=fdatasync 2> /dev/null || return 0
    # shellcheck disable=SC2016 # the inner shell's
    timeout 1 sh -c '
        write=0
        while [ "$write" != 100 ]; do
            dd if=/dev/zero of="$1" bs=2300 count=1 seek="$write" conv=notrunc oflag=dsync || exit
            write=$((write + 1))
        done' sh {{ path.fsync_probe }} 2>&1 |
        awk -F 'copied, ' 'NF == 2 { split($2, took, " "); printf "%d\n", took[1] * 1000000 }' | sort -n |
        awk '{ times[NR] = $1 } END { if (NR >= 10) printf "fsync\t%d\n", times[int((NR * 99 + 99) / 100)] }'
    rm -f {{ path.fsync_probe }}
}

{% if system %}
# attribute DISK FILES...: the first of these files in the disk's folder of /sys that has something in it, in $line.
attribute() {
    attribute_of=/sys/block/$1
    shift
    for attribute in "$@"; do
        first "$attribute_of/$attribute" && [ -n "$line" ] && return
    done
    line=
    return 1
}

# device PATH: what the file system there is on, in $device; empty if that is no device. It may be on a server that does not answer.
device() {
    device=$(timeout -s KILL 2 findmnt --noheadings --nofsroot --output SOURCE --target "$1" 2> /dev/null | tail -n 1)
    [ -b "$device" ] || device=
}

# What the system is on, down to whole disks, as an installer of another system must know it.
about_own_system() {
    device /
    [ -n "$device" ] || return 0
    partition=$(lsblk --noheadings --nodeps --output PARTLABEL "$device" 2> /dev/null)
    kind=$(lsblk --noheadings --nodeps --output TYPE "$device" 2> /dev/null)
    by=bios
    [ ! -d /sys/firmware/efi ] || by=uefi
    first /etc/ssh/ssh_host_ed25519_key.pub || line=
    say system "$by" "$partition" "$kind" "$line"
    lsblk --noheadings --raw --inverse --output TYPE,KNAME "$device" | sort -u | while read -r kind disk; do
        [ "$kind" = disk ] || continue
        attribute "$disk" size || continue
        sectors=$line
        attribute "$disk" removable
        removable=$line
        attribute "$disk" ro
        read_only=$line
        attribute "$disk" device/serial serial
        serial=$line
        # Of SATA and SCSI: their vital product data, behind four bytes.
        page=/sys/block/$disk/device/vpd_pg80
        if [ -z "$serial" ] && [ -r "$page" ]; then
            serial=$(dd "if=$page" bs=1 skip=4 count=128 2> /dev/null | tr -cd '[:print:]' | sed 's/^ *//; s/ *$//')
        fi
        attribute "$disk" wwid device/wwid
        wwid=$line
        attribute "$disk" device/type
        card=$line
        folder=$(readlink -f "/sys/block/$disk")
        # .../ata3/host2/target2:0:0/2:0:0:0/block/sda has its port in .../ata3/ata_port/ata3/port_no.
        controller=${folder%%/host*}
        port=
        first "$controller/ata_port/${controller##*/}/port_no" && port=$line
        say system-disk "$disk" "$sectors" "$removable" "$read_only" "$folder" "$serial" "$wwid" "$card" "$port"
        lsblk --noheadings --bytes --pairs --output TYPE,PARTLABEL,SIZE,FSTYPE,MOUNTPOINT,KNAME "/dev/$disk" |
            awk -F '"' -v OFS="\t" -v disk="$disk" '$2 == "part" {
                file = "/sys/class/block/" $12 "/start"
                start = 0
                getline start < file
                close(file)
                print "system-part", disk, $4, $6, $8, $10, start
            }'
        esp=$(lsblk --noheadings --raw --output PARTTYPE,MOUNTPOINT "/dev/$disk" |
            awk '$1 == "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" && $2 ~ "^/" { print $2; exit }')
        # Where another GRUB has its configuration, the installer's has no place.
        [ ! -e "$esp/{{ installer.esp_config }}" ] || grep -qF '{{ installer.memory }}' "$esp/{{ installer.esp_config }}" || esp=
        # Blocks that are free, their size, and the rights of the folder.
        [ -z "$esp" ] || stat -f -c '%a %S' "$esp" | {
            read -r blocks size && say system-esp "$esp" "$((blocks * size))" "$(stat -c %a "$esp")"
        }
        set -f
        IFS=$newline
        for path in $keep; do
            unset IFS
            device "$path"
            kind=$(timeout -s KILL 2 findmnt --noheadings --output FSTYPE --target "$path" 2> /dev/null | tail -n 1)
            case $kind in
            # File systems over several disks, or over other folders: which disks those are is not found out here. The others of this kind are
            # on servers.
            btrfs | zfs | bcachefs | overlay | fuse.*)
                case $kind in
                btrfs) [ "$(find "/sys/fs/btrfs/$(findmnt --noheadings --output UUID --target "$path" | tail -n 1)/devices" -mindepth 1 2> /dev/null | wc -l)" -gt 1 ] ;;
                fuse.sshfs | fuse.rclone | fuse.s3fs | fuse.glusterfs) false ;;
                esac && say system-keep-unknown "$path"
                ;;
            esac
            [ -n "$device" ] || continue
            lsblk --noheadings --raw --inverse --output KNAME "$device" | grep -qxF "$disk" || continue
            if [ "$(lsblk --noheadings --nodeps --output PARTLABEL "$device")" = {{ layout.data }} ]; then
                say system-keep-data "$path"
            else
                say system-keep "$path"
            fi
        done
        unset IFS
        set +f
    done
}

{% endif %}
