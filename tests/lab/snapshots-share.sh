#!/bin/bash
# snapshots-share.sh HOSTLER [vm]: a control plane copies its snapshots to a share, which hangs and goes away, as root. A container's kernel is this
# computer's, which may have no NFS: so here the share is a folder of this computer, behind a file system that can be stopped, and `mount.nfs` on the machine
# leads there. With `vm`, the same service mounts by NFS on a virtual machine with a kernel of its own; where KVM does not work, that is slow. As rows.sh
# says.
# shellcheck disable=SC2016 # what is in single quotes is for machines
set -euo pipefail
hostler=$(realpath "$1")
kind=${2:-}
lab=snapshots
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"
for program in age-keygen bindfs; do
    command -v "$program" > /dev/null || { echo "$program is missing: apt-get install age bindfs" >&2; exit 1; }
done

machine() { on twilightsparkle "$@"; }
# due: the timer finds that a snapshot is due, which ends when it is taken; copying begins then.
due() { machine 'touch -d "-2 days" /var/backups/hostler/* 2> /dev/null; systemctl start hostler-snapshot.service'; }
taken() { machine 'ls /var/backups/hostler | wc -l'; }
# It may wait for the service that takes them.
ended() { machine '! systemctl list-jobs | grep -q hostler-snapshot-copy && ! systemctl show -p ActiveState hostler-snapshot-copy.service | grep -q activating'; }
fails() { wait_for "${1:-120}" "the end of copying" ended && machine systemctl is-failed --quiet hostler-snapshot-copy.service; }
copies() { wait_for 120 "the end of copying" ended && ! machine systemctl is-failed --quiet hostler-snapshot-copy.service; }
# It answers, whatever it says.
status() { "$hostler" status -i "$inventory" > "$work/out" 2>&1 || [ $? = 1 ]; }
nothing_mounted() { machine '! grep " /run/hostler/snapshots " /proc/mounts'; }

if [ "$kind" != vm ]; then
    nas=$work/nas
    behind=$work/behind
    mkdir "$nas" "$behind"
    chmod 755 "$work"
    bindfs -f -o attr_timeout=0,entry_timeout=0,negative_timeout=0 "$behind" "$nas" &
    server=$!
    # At the end, whatever it waits for: a lab whose share hangs can't be taken down.
    trap 'kill -CONT "$server" 2> /dev/null; (umount -l "$nas"; kill "$server") 2> /dev/null; cleanup $LINENO "$BASH_COMMAND"' EXIT
    wait_for 10 "the share" mountpoint -q "$nas"
    # Of a service that nothing else ends: this share has no limits of its own, unlike NFS.
    shorter='mkdir -p /etc/systemd/system/hostler-snapshot-copy.service.d; cd /etc/systemd/system/hostler-snapshot-copy.service.d
        printf "[Service]\nTimeoutStartSec=40s\n" > limit.conf; systemctl daemon-reload'
    copied() { find "$behind/twilightsparkle" -name "lab-*.tar.gz$1" 2> /dev/null | wc -l; }

    row "a control plane; its snapshots are to be copied to a share"
    run 0 lab up --machines 1 --share "$nas"
    printf 'snapshots: {to: "nfs://nas.invalid/snapshots", keep: 3}\n' >> "$inventory"
    run 0 plan -i "$inventory"
    says "snapshots are copied to nfs://nas.invalid/snapshots unencrypted, and hold every secret of the cluster: set \`snapshots.recipients\`"
    says "mount.nfs is not installed"
    up
    empty

    row "the share is not there: the snapshot is on the machine, comes to this computer, and status says what is missing"
    due
    [ "$(taken)" -ge 1 ]
    fails
    run 1 status -i "$inventory"
    says "no snapshot on twilightsparkle has been copied to the share yet"
    [ "$(find "$XDG_DATA_HOME/hostler/snapshots/regular" -name 'lab-*.tar.gz' | wc -l)" -ge 1 ]
    machine 'journalctl -u hostler-snapshot-copy -o cat --no-pager -n 5'

    row "it is there: all that is missing is copied, only root can read it, and nothing stays mounted"
    machine "$shorter"
    machine "printf '#!/bin/sh\nexec mount --bind $nas \"\$2\"\n' > /usr/sbin/mount.nfs"
    machine systemctl start hostler-snapshot.service
    copies
    [ "$(copied "")" = "$(taken)" ]
    [ "$(find "$behind/twilightsparkle" -type f -perm 600 -user root | wc -l)" = "$(taken)" ]
    [ "$(stat -c %a "$behind/twilightsparkle")" = 700 ]
    nothing_mounted
    run 0 status -i "$inventory"
    run 0 snapshot list "$behind/twilightsparkle"
    says "lab"
    run 0 snapshot verify "$(find "$behind/twilightsparkle" -name 'lab-*' | head -n 1)" --file-only

    row "the server hangs: a snapshot is taken, status is not held up, and copying fails within its limit"
    kill -STOP "$server"
    before=$(taken)
    within 60 due
    [ "$(taken)" = $((before + 1)) ]
    within 60 status
    fails 180
    run 1 status -i "$inventory"
    says "the newest snapshot on twilightsparkle has not been copied to the share"
    says "where the newest copy is"
    says "to try again"

    row "a second one meanwhile; the server answers again, and both are copied"
    within 60 due
    fails 180
    kill -CONT "$server"
    machine systemctl start hostler-snapshot-copy.service
    newest=$(machine 'ls /var/backups/hostler | sort | tail -n 2')
    for name in $newest; do
        machine "base64 < /var/backups/hostler/$name" | base64 -d | cmp - "$behind/twilightsparkle/$name"
    done
    nothing_mounted
    run 0 status -i "$inventory"

    row "copying ends while it writes: no half of a snapshot has its name, and the next copy is whole"
    mkdir "$behind/rarity"
    touch "$behind/rarity/lab-20200101T000000Z.tar.gz" "$behind/twilightsparkle/home-20200101T000000Z.tar.gz"
    machine 'head -c 300M /dev/urandom > /var/backups/hostler/lab-20200102T000000Z.tar.gz; rm /var/lib/hostler/snapshot-copied'
    machine systemctl start --no-block hostler-snapshot-copy.service
    limit=$(($(date +%s) + 60))
    until [ -n "$(find "$behind/twilightsparkle" -name '.lab-20200102*' -size +1M)" ]; do [ "$(date +%s)" -lt "$limit" ]; done
    # What it waits for now, no signal ends; nothing else waits with it.
    kill -STOP "$server"
    machine systemctl kill --signal KILL hostler-snapshot-copy.service
    within 60 status
    kill -CONT "$server"
    wait_for 60 "its end" ended
    [ ! -e "$behind/twilightsparkle/lab-20200102T000000Z.tar.gz" ]
    nothing_mounted
    machine systemctl start hostler-snapshot-copy.service
    machine 'sha256sum < /var/backups/hostler/lab-20200102T000000Z.tar.gz' > "$work/sum"
    sha256sum < "$behind/twilightsparkle/lab-20200102T000000Z.tar.gz" | diff "$work/sum" -
    [ -z "$(find "$behind/twilightsparkle" -name '.*.hostler-new')" ]

    row "of this machine and cluster the newest three are kept; others are not touched"
    machine rm /var/backups/hostler/lab-20200102T000000Z.tar.gz
    due
    copies
    [ "$(copied "")" = 3 ]
    [ ! -e "$behind/twilightsparkle/lab-20200102T000000Z.tar.gz" ]
    [ -e "$behind/rarity/lab-20200101T000000Z.tar.gz" ] && [ -e "$behind/twilightsparkle/home-20200101T000000Z.tar.gz" ]

    row "with recipients no warning is left, and only what is encrypted is copied"
    age-keygen -o "$work/key" 2> /dev/null
    sed -i "s|^snapshots: .*|snapshots: {to: \"nfs://nas.invalid/snapshots\", keep: 3, recipients: [$(age-keygen -y "$work/key")]}|" "$inventory"
    rm "$behind"/twilightsparkle/lab-*
    run 0 plan -i "$inventory"
    says_not "unencrypted"
    up
    due
    copies
    [ "$(copied "")" = 0 ] && [ "$(copied .age)" = 1 ]
    run 0 snapshot verify "$behind"/twilightsparkle/lab-*.age --identity "$work/key" --file-only
    run 0 status -i "$inventory"

    row "a link in place of the machine's folder leads nowhere"
    mv "$behind/twilightsparkle" "$behind/aside"
    ln -s /etc "$behind/twilightsparkle"
    machine 'ls /etc | sort' > "$work/before"
    due
    fails
    machine 'ls /etc | sort' | diff "$work/before" -
    machine 'journalctl -u hostler-snapshot-copy -o cat --no-pager -n 8' | grep "twilightsparkle on nfs://nas.invalid/snapshots is not a folder"
    rm "$behind/twilightsparkle"
    mv "$behind/aside" "$behind/twilightsparkle"

    row "without the share, what copied to it goes from the machine, and the copies stay"
    machine systemctl start hostler-snapshot-copy.service
    sed -i '/^snapshots:/d' "$inventory"
    up
    machine '! ls /etc/hostler/snapshot-copy.sh /var/lib/hostler/snapshot-copied /etc/systemd/system/hostler-snapshot-copy.service 2> /dev/null'
    [ "$(copied .age)" -ge 1 ]
    empty
    run 0 status -i "$inventory"
    "$hostler" lab down > /dev/null 2>&1
    printf '%d rows passed\n' "$rows"
    exit
fi

row "a machine with a kernel of its own, which is an NFS server, too; the service as a control plane has it"
run 0 lab up --machines 1 --vm twilightsparkle --machines-only
machine 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install nfs-common nfs-kernel-server nftables' > "$work/out" 2>&1
machine 'mkdir -p /srv/nas && echo "/srv/nas 10.77.0.0/24(rw,sync,no_subtree_check,no_root_squash)" > /etc/exports && exportfs -ra'
printf 'snapshots: {to: "nfs://10.77.0.11/srv/nas", keep: 3}\n' >> "$inventory"
run 0 render -i "$inventory" --out "$work/files"
for file in etc/hostler/snapshot-copy.sh etc/systemd/system/hostler-snapshot-copy.service; do
    base64 "$work/files/twilightsparkle/$file" | on twilightsparkle "mkdir -p $(dirname "/$file") && base64 -d > /$file"
done
machine 'systemctl daemon-reload; install -d -m 700 /var/backups/hostler /var/lib/hostler; umask 077
    head -c 3M /dev/urandom > /var/backups/hostler/lab-20260101T000000Z.tar.gz'
copy() { machine systemctl start hostler-snapshot-copy.service; }
# same NAME: it is on the share as on the machine.
same() { machine cmp "/var/backups/hostler/$1" "/srv/nas/twilightsparkle/$1"; }

row "a snapshot is copied by NFS; nothing stays mounted"
within 60 copy
same lab-20260101T000000Z.tar.gz
[ "$(machine stat -c %a:%U /srv/nas/twilightsparkle/lab-20260101T000000Z.tar.gz)" = 600:root ]
nothing_mounted
machine 'journalctl -u hostler-snapshot-copy -o cat --no-pager -n 8'

row "a server that takes root for another user, and does not let that one write: said so; and once it may, it works"
machine 'echo "/srv/nas 10.77.0.0/24(rw,sync,no_subtree_check,root_squash)" > /etc/exports && exportfs -ra && rm -r /srv/nas/twilightsparkle /var/lib/hostler/snapshot-copied'
machine '! systemctl start hostler-snapshot-copy.service 2> /dev/null'
machine 'journalctl -u hostler-snapshot-copy -o cat --no-pager -n 8' | grep "can't be created on "
machine 'chown nobody /srv/nas'
copy
same lab-20260101T000000Z.tar.gz
[ "$(machine stat -c %a:%U /srv/nas/twilightsparkle/lab-20260101T000000Z.tar.gz)" = 600:nobody ]

row "the network goes silent while a snapshot is written: copying fails within its limit, and nothing else waits"
machine 'umask 077; head -c 400M /dev/urandom > /var/backups/hostler/lab-20260102T000000Z.tar.gz; sync'
machine systemctl start --no-block hostler-snapshot-copy.service
writes() { machine 'find /srv/nas/twilightsparkle -name ".lab-20260102*" -size +1M | grep -q .'; }
wait_for 120 "a part" writes
silence='add table inet silence; add chain inet silence in { type filter hook input priority 0; }; add rule inet silence in tcp dport 2049 drop'
machine "nft '$silence'"
started=$(date +%s)
within 30 machine 'ls /var/backups/hostler; df > /dev/null; systemctl is-active hostler-snapshot-copy.service || true' > "$work/out"
fails 780
printf '          failed after %d s\n' $(($(date +%s) - started))
machine 'journalctl -u hostler-snapshot-copy -o cat --no-pager -n 12'
# Silent from the beginning, too.
machine '! systemctl start hostler-snapshot-copy.service 2> /dev/null'
nothing_mounted
machine '! ps -eo stat,comm | grep -E "^D.* (cat|find|mount.*|mv|rm|sh|sync)$"'

row "it answers again: the snapshot is copied as a whole, and no part is left"
machine 'nft delete table inet silence'
copy
same lab-20260102T000000Z.tar.gz
machine '! find /srv/nas/twilightsparkle -name ".*.hostler-new" | grep .'
nothing_mounted

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
