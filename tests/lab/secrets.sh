#!/bin/bash
# secrets.sh HOSTLER [CONTROL_PLANES]: whether a run leaves a secret anywhere but in its own file, on the lab's real machines, as root. Each
# row: what is done -> what must be seen. As cluster.sh; KEEP=1 leaves the lab, and what was searched. Needs python3.
#
# A user who has to give sudo a password makes a cluster of a worker and one control plane (or of as many as are said, without a worker),
# looks at it, takes a snapshot and rebuilds a machine. Then every secret of that is searched for in all that is left: what hostler printed
# and logged, the arguments and the environment of every process that ran meanwhile, journals, and every file that is new on the machines
# and on this computer. What is found is told by name: a secret's value is nowhere printed.
set -euo pipefail
hostler=$(realpath "$1")
planes=${2:-1}
lab=secrets
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/lab/rows.sh
. "$here/rows.sh"
# What the test itself knows is in "own", which is not searched; what the runs leave is in "left".
own=$work/own left=$work/left
mkdir -p "$own/secrets" "$left/said" "$left/journals"
export HOME=$left/home
mkdir "$HOME"
unset XDG_STATE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME KUBECONFIG
machines=(twilightsparkle rainbowdash fluttershy)
[ "$planes" != 1 ] || machines=(twilightsparkle rainbowdash)
sampler=

# As rows.sh calls it at the end.
cleanup() {
    status=$?
    [ "$status" = 0 ] || { echo "FAILED at line $1: $2" >&2; tail -n 40 "$work/out" >&2 || true; }
    [ -z "$sampler" ] || kill "$sampler" 2> /dev/null || true
    if [ -n "${KEEP:-}" ]; then
        echo "kept: $work" >&2
    else
        "$hostler" lab down > /dev/null 2>&1 || true
        rm -rf "$work"
    fi
    exit "$status"
}
# terminal NAME STATUS ARGUMENTS...: hostler on a terminal, where sudo's password is typed when it is asked for, ends with that status. What it
# shows is kept.
terminal() {
    local said=$left/said/$1 expected=$2 status=0
    shift 2
    python3 "$here/terminal.py" "$said.terminal" "$said.stdout" "sudo password for" "$own/password" "$hostler" "$@" || status=$?
    cat "$said.terminal" "$said.stdout" > "$work/out"
    [ "$status" = "$expected" ] || { echo "hostler $* ended with $status, not $expected" >&2; return 1; }
}
is_plane() { [ "$planes" != 1 ] || [ "$1" = twilightsparkle ]; }

# The file system of a machine as its own init sees it: also what is in memory alone, like /run.
root_of() {
    local namespace process
    namespace=$(on "$1" readlink /proc/1/ns/pid)
    for process in /proc/[0-9]*; do
        if [ "$(readlink "$process/ns/pid")" = "$namespace" ] && grep -q '^NSpid:.*[[:space:]]1$' "$process/status"; then
            echo "$process/root"
            return
        fi
    done 2> /dev/null
    echo "$1 has no init" >&2
    return 1
}

# encoded TEXT: the part of a longer text's base64 that TEXT alone decides, for each of the three places where it may begin.
encoded() {
    local offset text length
    for offset in 0 1 2; do
        text=$({ head -c "$offset" /dev/zero; printf %s "$1"; } | base64 -w 0)
        length=$((offset + ${#1}))
        text=${text%%=*}
        [ $((length % 3)) = 0 ] || text=${text%?}
        case $offset in
        0) echo "$text" ;;
        1) echo "${text:2}" ;;
        2) echo "${text:3}" ;;
        esac
    done
}
# know NAME HOME: the secret on standard input, which may be in HOME (MACHINE:PATH, or a folder with a / at its end) and nowhere else. What
# is searched for: itself, its base64 wherever in a longer text, and the base64 of that. A secret that is known has another home then.
know() {
    local text form file
    IFS= read -r text
    [ "${#text}" -ge 16 ] || { echo "$1 is no secret" >&2; return 1; }
    # Not as an argument: this test is watched, too.
    file=$(grep -lxF -f <(printf '%s\n' "$text") "$own"/secrets/* 2> /dev/null | head -n 1) || true
    if [ -z "$file" ]; then
        file=$own/secrets/$(find "$own/secrets" -type f | wc -l)
        {
            printf '%s\n' "$text"
            for form in $(encoded "$text"); do
                printf '%s\n' "$form"
                encoded "$form"
            done
        } > "$file"
        printf '%s\t%s\n' "${file##*/}" "$1" >> "$own/names"
    fi
    printf '%s\t%s\n' "${file##*/}" "$2" >> "$own/homes"
}
# A piece of the private key on standard input that nothing public shares: RSA's begins with the modulus, an EC key ends with its point.
piece_of_key() {
    awk '/-----END .*PRIVATE KEY/ { inside = 0 } inside { line[++count] = $0 } /-----BEGIN .*PRIVATE KEY/ { inside = 1; openssh = /OPENSSH/ }
        END { print (openssh ? line[count - 1] : count > 10 ? line[int(count / 2)] : substr(line[1], 13, 40)) }'
}
# Learns all secrets that are in files now. Each machine's own, so that nothing but a control plane is a home of the cluster's keys.
know_all() {
    local machine root folders file place
    for machine in "${machines[@]}"; do
        root=$(root_of "$machine")
        folders=("$root/var/lib/kubelet/pki")
        if is_plane "$machine"; then
            folders+=("$root/etc/kubernetes/pki")
            grep -raohP 'token-secret\x12\x10\K[a-z0-9]{16}' "$root/var/lib/etcd" | sort -u > "$own/tokens" || true
            while IFS= read -r file; do
                know "a bootstrap token" "$machine:/var/lib/etcd/" <<< "$file"
            done < "$own/tokens"
        fi
        grep -rlI -e '-----BEGIN .*PRIVATE KEY' "${folders[@]}" > "$own/list"
        while IFS= read -r file; do
            [ ! -L "$file" ] || continue
            place=$machine:${file#"$root"}
            piece_of_key < "$file" | know "the key of $place" "$place"
        done < "$own/list"
        for file in "$root"/etc/kubernetes/*.conf; do
            grep -q client-key-data "$file" || continue
            place=$machine:${file#"$root"}
            sed -n 's/^ *client-key-data: //p' "$file" | base64 -d | piece_of_key | know "the key of $place" "$place"
        done
    done
    for file in "$HOME"/.config/hostler/*; do
        sed -n 's/^ *client-key-data: //p' "$file" | base64 -d | piece_of_key | know "the key of $file" "computer:$file"
    done
}

# search PLACE ROOT: says which secret is in which of the files on standard input, each with a NUL at its end. ROOT/FILE is its path here.
search() {
    local place=$1 root=$2 file number name
    # Of several greps and files that go away meanwhile, no status tells anything.
    sed -z "s|^|$root|" | LC_ALL=C xargs -0 -r grep -lsF -f "$own/all" > "$own/hits" || true
    while IFS= read -r file; do
        while IFS=$'\t' read -r number name; do
            if LC_ALL=C grep -qsF -f "$own/secrets/$number" "$file"; then
                printf '%s\t%s\t%s\t%s\n' "$number" "$name" "$place:${file#"$root"}" "$(stat -c '%a %U' "$file")"
            fi
        done < "$own/names"
    done < "$own/hits"
}
# belongs NUMBER PLACE:PATH "MODE OWNER": whether that secret is at home there, and the file is root's alone.
belongs() {
    local number home
    [[ $3 == *00\ root ]] || return 1
    while IFS=$'\t' read -r number home; do
        [ "$number" = "$1" ] || continue
        [ "$2" != "$home" ] || return 0
        [[ $home != */ || $2 != "$home"* ]] || return 0
    done < "$own/homes"
    return 1
}
# where NUMBER FILE: the lines, or of the processes that were seen their names.
where() {
    if [ "$2" = "$left/processes" ]; then
        LC_ALL=C grep -aF -f "$own/secrets/$1" "$2" | sed 's/): .*/)/' | sort -u
    else
        LC_ALL=C grep -anF -f "$own/secrets/$1" "$2" | sed 's/^\([0-9]*\):.*/line \1/'
    fi | head -n 5 | paste -sd ,
}

row "machines, with a user whom sudo asks for a password"
since=@$(date +%s)
nice -n -10 python3 "$here/processes.py" "$left/processes" &
sampler=$!
until [ -s "$left/processes" ]; do kill -0 "$sampler"; done
"$hostler" lab up --machines-only --machines "${#machines[@]}" --control-planes "$planes" > "$left/said/lab" 2>&1
(umask 077 && head -c 15 /dev/urandom | base64 > "$own/password" && sed 's/^/ash:/' "$own/password" > "$own/account")
for machine in "${machines[@]}"; do
    on "$machine" 'useradd --create-home --shell /bin/bash --groups sudo ash && install -d -m 700 -o ash -g ash ~ash/.ssh &&
        install -m 600 -o ash -g ash ~/.ssh/authorized_keys ~ash/.ssh/ && chpasswd' < "$own/account"
done
sed -i 's/^  user: root$/  user: ash/' "$inventory"
know "sudo's password" "nowhere" < "$own/password"
piece_of_key < $state/key | know "the key that opens the machines" "computer:$state/key"
# Of the workload only what keeps the media server's token: no film is encoded here, and the image is not fetched.
(umask 077 && head -c 15 /dev/urandom | base64 | tr +/ ab > "$left/token-of-plex")
know "the media server's token" "computer:$left/token-of-plex" < "$left/token-of-plex"
for machine in "${machines[@]}"; do
    on "$machine" 'install -d -o 1000 -g 1000 /srv/inbox /srv/library'
    ! is_plane "$machine" || know "the media server's token" "$machine:/var/lib/etcd/" < "$left/token-of-plex"
done
cat >> "$inventory" << END
transcode:
  inbox: path:/srv/inbox
  library: path:/srv/library
  owner: {uid: 1000, gid: 1000}
  languages: [eng]
  folders: {Movies: {}}
  image: registry.example.org/encoder:1
  plex: {url: "http://10.77.0.1:32400", tokenFile: $left/token-of-plex}
END

# tampered NAME FILE: a copy of the bundle in $work/NAME, in the middle of whose FILE one bit is another.
tampered() {
    local middle byte
    cp -rs "$bundle" "$work/$1"
    rm "$work/$1/$2"
    cp "$bundle/$2" "$work/$1/$2"
    middle=$(($(stat -c %s "$bundle/$2") / 2))
    byte=$(od -An -tu1 -j "$middle" -N 1 "$bundle/$2")
    printf '%b' "\\x$(printf %x $((byte ^ 1)))" | dd of="$work/$1/$2" bs=1 seek="$middle" conv=notrunc status=none
    [ "$(cmp -l "$bundle/$2" "$work/$1/$2" | wc -l)" = 1 ]
}
row "a program with another bit than its sum says is not installed, and kubeadm is not run here either"
bundle=$("$hostler" bundle verify 2> /dev/null | sed -n 's/ matches its manifest$//p')
sum_of() { sed -n "/\"name\": \"$1\"/,/\"sha256\"/s/.*\"sha256\": \"\(.*\)\".*/\1/p" "$bundle/manifest.json"; }
program=$(sum_of containerd)
tampered program "files/$program"
terminal verify-program 3 bundle verify "$work/program"
says "was changed: its sha256 is"
terminal up-program 1 up -i "$inventory" --yes --bundle "$work/program"
says "the copy of /opt/hostler/store/$program on this machine differs from what was sent"
on twilightsparkle "! ls -A /opt/hostler/store | grep -q '^$program$' && [ ! -e /opt/hostler/current ]"
# kubeadm reads the inventory's fragments on this computer first: its sum is checked before it runs.
tampered kubeadm "files/$(sum_of kubeadm)"
terminal up-kubeadm 3 up -i "$inventory" --yes --bundle "$work/kubeadm"
says "(kubeadm) is corrupted or was changed: its sha256 is"

row "an image with another bit is not imported"
tampered image images.tar
terminal verify-image 3 bundle verify "$work/image"
says "was changed: its sha256 is"
terminal up-image 1 up -i "$inventory" --yes --bundle "$work/image"
rm -r "$work/program" "$work/kubeadm" "$work/image"
cp "$work/out" "$left/said/up-image.out"

row "a cluster from the bundle as it was, with the password typed"
terminal up 0 up -i "$inventory" --yes
says "sudo password for ash"
says "Ready"
know_all

row "a plan, its files, a snapshot, a kubeconfig"
terminal plan 0 plan -i "$inventory"
terminal plan-json 0 plan -i "$inventory" --output json
terminal render 0 render -i "$inventory" --out "$left/rendered"
terminal snapshot 0 snapshot create -i "$inventory"
terminal kubeconfig 0 kubeconfig -i "$inventory"
[ "$(find "$HOME/.local/share/hostler/snapshots" -maxdepth 1 -name '*.tar.gz' -perm 600 | wc -l)" = 1 ]

row "a machine rebuilt, which takes another token, told as JSON"
terminal rebuild 0 rebuild rainbowdash -i "$inventory" --yes --output json
terminal up-json 0 up -i "$inventory" --yes --output json
know_all
[ "$(grep -c "a bootstrap token" "$own/names")" -ge 2 ] || { echo "no second token was seen" >&2; exit 1; }

row "what is planted in eight places, a shell's history among them, is found there"
head -c 24 /dev/urandom | base64 | tr +/ ab > "$own/planted"
planted=$(cat "$own/planted")
know "what was planted" "nowhere" < "$own/planted"
runs=$HOME/.local/state/hostler/runs
ls "$runs"/*-up.log > /dev/null
(umask 077 && printf '{"line":"%s"}\n' "$(printf 'x%s' "$planted" | base64 -w 0)" > "$runs/20260101T000000Z-planted.log")
(umask 077 && printf 'y%s\n' "$(printf 'xy%s' "$planted" | base64 -w 0)" | base64 -w 0 > "$HOME/.config/hostler/planted")
# These live a millisecond each: not every one is seen.
for number in $(seq 40); do
    (exec -a "planted $number $planted" /bin/true)
    env -i "PLANTED$number=$planted" /bin/true
done
on rainbowdash 'umask 077; cat > /var/tmp/planted; cat /var/tmp/planted > /run/hostler/planted; cat /var/tmp/planted >> ~ash/.bash_history; logger -f /var/tmp/planted' < "$own/planted"
cat "$own"/secrets/* > "$own/all"
for machine in "${machines[@]}"; do
    on "$machine" "journalctl --sync; journalctl --all --no-pager --output export --since $since" > "$left/journals/$machine"
    [ "$(grep -c '^MESSAGE=' "$left/journals/$machine")" -gt 100 ]
done
kill "$sampler"
sampler=
for machine in "${machines[@]}"; do
    # Disk and memory; not the kernel's file systems, nor a container's view of folders that are searched. Journals were read above.
    root=$(root_of "$machine")
    on "$machine" "find / -ignore_readdir_race \( ! -fstype ext4 ! -fstype tmpfs \) -prune \
        -o -type f -newerct $since ! -path '/*/log/journal/*' -print0" | search "$machine" "$root"
done > "$own/found"
# This computer's: all that may be hostler's, without what this test knows itself and the machines' disks, which were searched.
find "$left" "$state" -type f ! -name disk.img -print0 | search computer "" >> "$own/found"
{ find /etc /home /root /run /tmp /var \( -path "$work" -o -path "$state" -o -name disk.img -o -fstype proc -o -fstype overlay \) -prune \
    -o -type f -newerct "$since" -print0 2> /dev/null || true; } | search computer "" >> "$own/found"
awk -F '\t' '$2 == "what was planted" { print $3 }' "$own/found" | sort > "$own/places"
for place in "computer:$runs/20260101T000000Z-planted.log" "computer:$HOME/.config/hostler/planted" "computer:$left/processes" \
    "computer:$left/journals/rainbowdash" rainbowdash:/var/tmp/planted rainbowdash:/run/hostler/planted \
    rainbowdash:/home/ash/.bash_history; do
    grep -qxF "$place" "$own/places" || { echo "not found in $place" >&2; exit 1; }
done
number=$(awk -F '\t' '$2 == "what was planted" { print $1 }' "$own/names")
for kind in arguments environment; do
    count=$(LC_ALL=C grep -aF -f "$own/secrets/$number" "$left/processes" | grep -ac "^$kind of true") || true
    [ "$count" -ge 10 ] || { echo "found in the $kind of $count of 40 processes" >&2; exit 1; }
done

row "every secret is found where it belongs"
while IFS=$'\t' read -r number name; do
    case $name in
    "sudo's password" | "what was planted") continue ;;
    esac
    # In etcd of every control plane, besides its file here.
    if [ "$name" = "the media server's token" ]; then
        [ "$(awk -F '\t' -v number="$number" '$1 == number && $3 ~ "/var/lib/etcd/" { print $3 }' "$own/found" | sed 's/:.*//' | sort -u | wc -l)" = "$planes" ]
    fi
    # A machine that was rebuilt has other keys now.
    [[ $name != "the key of rainbowdash"* ]] || continue
    awk -F '\t' -v number="$number" '$1 == number { found = 1 } END { exit !found }' "$own/found" || { echo "not found: $name" >&2; exit 1; }
done < "$own/names"
printf '    %d secrets in %d files\n' "$(wc -l < "$own/names")" "$(cut -f 3 "$own/found" | sort -u | wc -l)"

row "and nowhere else"
leaks=0
while IFS=$'\t' read -r number name place owner; do
    if [ "$name" = "what was planted" ] || belongs "$number" "$place" "$owner"; then continue; fi
    leaks=$((leaks + 1))
    lines=
    [[ $place != computer:* ]] || lines=", $(where "$number" "${place#computer:}")"
    printf '    %s is in %s (mode and owner %s%s)\n' "$name" "$place" "$owner" "$lines" >&2
done < "$own/found"
[ "$leaks" = 0 ] || { echo "$leaks leaks" >&2; exit 1; }

row "no other user of this computer can read the machines' disks, or what hostler keeps in its user's home"
chmod 711 "$work" "$left"
chmod 700 "$own"
setpriv --reuid nobody --regid nogroup --clear-groups find "$state" "$HOME" -type f -readable > "$work/out" 2> /dev/null || true
[ ! -s "$work/out" ] || { echo "others can read what is listed here:" >&2; exit 1; }

row "what hostler wrote on a machine belongs to root, and nobody else may write it"
for machine in "${machines[@]}"; do
    root=$(root_of "$machine")
    find "$root/etc" "$root/opt" "$root/usr" "$root/root" "$root/var/lib/hostler" "$root/var/lib/etcd" "$root/var/lib/kubelet" "$root/run/hostler" \
        -path "$root/var/lib/kubelet/pods" -prune -o -newerct "$since" ! -type l -print 2> /dev/null > "$own/written" || true
    [ "$(grep -c /opt/hostler/ "$own/written")" -gt 10 ]
    # What is in a folder that is closed to others can't be reached by them: /run/hostler.
    [ "$(stat -c %a "$root/run/hostler")" = 700 ]
    grep -v "^$root/run/hostler/" "$own/written" | tr '\n' '\0' | xargs -0 stat -c '%a %U %n' | awk '$2 != "root" || $1 ~ /[2367].$|[2367]$/' > "$own/others"
    [ ! -s "$own/others" ] || { sed "s|$root|$machine:|" "$own/others" >&2; exit 1; }
done

printf '%d rows passed\n' "$rows"
