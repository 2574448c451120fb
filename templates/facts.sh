# Learns everything the planner may ask about this machine, in one round trip. It only reads, so it may run at any time, beside anything; but
# on a machine that is to become a control plane, its disk is tried with a small file, which is removed again. POSIX sh with coreutils, util-linux
# and awk, and few processes: a machine under load answers too.
#
# It prints lines `KEY<TAB>VALUE<TAB>...` between two marks; what a login shell says before the first is noise. A tab inside a value
# becomes a space. src/facts/parse.rs reads it: a new key needs no new version of the mark, a changed meaning does.
files={{ files | join("\n") | quote }}
links={{ links | join("\n") | quote }}
units={{ units | join("\n") | quote }}
programs={{ programs | join("\n") | quote }}
modules={{ modules | join("\n") | quote }}
sysctls={{ sysctls | join("\n") | quote }}
cluster_objects={{ cluster_objects | join("\n") | quote }}
shares={{ shares | join("\n") | quote }}
snapshots={{ snapshots | quote }}
resolv_conf={{ resolv_conf | quote }}
endpoint={{ endpoint | quote }}
commands={{ commands | join("\n") | quote }}
keep={{ keep | join("\n") | quote }}
uid={{ uid }}
gid={{ gid }}
fsync={{ "yes" if fsync else "" }}
vip="{% for _, address in vip | items %}{{ address }}{% endfor %}"
images={{ "yes" if images else "" }}
tunnel={{ "yes" if tunnel else "" }}

LC_ALL=C
PATH={{ path.bin }}:$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
newline='
'
tab='	'

# say KEY VALUE...
say() {
    IFS=$tab
    printf '%s\n' "$*"
    unset IFS
}

# first FILE: its first line in $line, without a process.
first() {
    line=
    [ -f "$1" ] && [ -r "$1" ] && { read -r line < "$1" || [ -n "$line" ]; } 2> /dev/null
}

# boot: which one this is, in $boot. A container has its host's id, but a PID 1 of its own.
{% include "machine/boot.sh" %}

about_boot() {
    boot
    say boot "$boot"
    if [ -e /run/reboot-required ]; then
        say reboot-due "$(stat -c %Y /run/reboot-required)" "$(sort -u /run/reboot-required.pkgs 2> /dev/null | head -n 3 | sed '$!s/$/,/' | tr '\n' ' ')"
    fi
    [ ! -e /run/systemd/container ] || return 0
    # What follows the numbers is the flavour: 6.8.0-45-generic. Another flavour is no newer one.
    flavour=$kernel
    while flavour=${flavour#*-}; do
        case $flavour in
        [0-9]*-*) ;;
        *) break ;;
        esac
    done
    newest=$(for file in /boot/vmlinuz-*-"$flavour" "/boot/vmlinuz-$kernel"; do printf '%s\n' "${file#/boot/vmlinuz-}"; done | sort -V | tail -n 1)
    if [ "$newest" != "$kernel" ] && [ -e "/boot/vmlinuz-$newest" ]; then
        say reboot-due "$(stat -c %Y "/boot/vmlinuz-$newest")" "kernel $newest"
    fi
}

about_kernel() {
    say clock "$(date +%s)"
    say machine "$(uname -m)"
    # Names the folder of its modules.
    first /proc/sys/kernel/osrelease
    kernel=$line
    first /proc/sys/kernel/hostname && say hostname "$line"
    first /etc/hostname && say hostname-at-boot "$line"
    first /run/systemd/container && say container "$line"
    [ -d /run/systemd/system ] && say systemd
    # Version 2 alone has this file at its root.
    [ -e /sys/fs/cgroup/cgroup.controllers ] || say cgroup-v1
    about_boot
    for zone in /sys/class/thermal/thermal_zone*/temp; do
        first "$zone" && say temperature "$line"
    done
    # Many a PC has its processor's sensors here only. Disks and cards have theirs too, which may be as hot as they like.
    for sensors in /sys/class/hwmon/hwmon*; do
        first "$sensors/name" || continue
        case $line in
        coretemp | k10temp | zenpower | cpu_thermal) ;;
        *) continue ;;
        esac
        for sensor in "$sensors"/temp*_input; do
            first "$sensor" && say temperature "$line"
        done
    done
    for interface in /sys/class/net/*; do
        case ${interface##*/} in
        lo | cni* | flannel* | veth* | docker* | kube-*) [ -e "$interface/device" ] || continue ;;
        # Docker's own; another bridge may be where the machine's address is.
        br-????????????)
            case ${interface##*/br-} in
            *[!0-9a-f]*) ;;
            *) [ -e "$interface/device" ] || continue ;;
            esac
            ;;
        esac
        first "$interface/address" && say mac "$line"
    done
    first /sys/class/net/flannel.1/address && say vtep-mac "$line"
    say disk "$(stat -f -c "%S$tab%b$tab%a" /var/lib)"
}

# One awk for all the small files of /etc and /proc. Not `read`: dash reads byte by byte, and /proc/sys gives a number in one read only.
about_system() {
    set -f
    for key in $sysctls; do
        IFS=.
        # shellcheck disable=SC2086 # the parts of the name
        set -- $key
        IFS=/
        paths="${paths:-} /proc/sys/$*"
        unset IFS
    done
    # shellcheck disable=SC2086 # words: no name of a sysctl has a space
    set -- ${paths:-}
    set +f
    for path in "$@"; do
        shift
        [ -r "$path" ] && set -- "$@" "$path"
    done
    for file in /etc/os-release {{ path.hosts }} {{ path.resolv_conf }} {{ path.resolved_config }} /etc/fstab /proc/mounts /proc/meminfo /proc/loadavg /proc/uptime /proc/cpuinfo /proc/swaps \
        /proc/net/fib_trie /proc/net/if_inet6 /proc/net/route /proc/net/ipv6_route /proc/filesystems "/lib/modules/$kernel/modules.builtin" {{ path.containerd_config }}; do
        [ -r "$file" ] && set -- "$@" "$file"
    done
    if [ -f "$resolv_conf" ] && [ -r "$resolv_conf" ]; then
        say own-resolv-conf
        set -- "$@" "$resolv_conf"
    fi
    # Only where packages are to come.
    [ -e {{ path.kubelet_kubeconfig }} ] || [ ! -r /var/lib/dpkg/status ] || set -- "$@" /var/lib/dpkg/status
    if ! command -v ss > /dev/null; then
        for file in /proc/net/tcp /proc/net/tcp6; do
            [ -r "$file" ] && set -- "$@" "$file"
        done
        read_system "$@"
    else
        ss -Htlnp | read_system "$@" listening=1 -
    fi
}

# read_system FILES...: what they tell; after `listening=1`, what ss told.
read_system() {
    asked=$modules resolv_conf=$resolv_conf endpoint=$endpoint awk '
{% filter indent(8, true) %}{% include "machine/mounts.awk" %}{% endfilter %}

        BEGIN {
            OFS = "\t"
            split(ENVIRON["asked"], names, "\n")
            for (i in names) asked[names[i]] = 1
        }
        { sub(/\r$/, "") }
        listening {
            port = $4
            sub(/.*:/, "", port)
            name = ""
            if (match($0, /\(\("[^"]*"/)) name = substr($0, RSTART + 3, RLENGTH - 4)
            print "port\t" port "\t" name
            next
        }
        FILENAME == "/etc/os-release" && /^(ID|PRETTY_NAME)=/ {
            name = value = $0
            sub(/=.*/, "", name)
            sub(/^[^=]*=/, "", value)
            gsub(/^["\047]|["\047]$/, "", value)
            print "os", name, value
        }
        FILENAME == "{{ path.hosts }}" && /^{{ hosts.end }}$/ { hostler = 0 }
        FILENAME == "{{ path.hosts }}" && hostler { gsub(/\t/, " "); print "host", $0 }
        FILENAME == "{{ path.hosts }}" && !hostler && ENVIRON["endpoint"] != "" && index(tolower($0), ENVIRON["endpoint"]) {
            for (i = 2; i <= NF && $1 !~ /^#/ && $i !~ /^#/; i++) if (tolower($i) == ENVIRON["endpoint"] && named++ < 8) print "other-host", $1
        }
        FILENAME == "{{ path.hosts }}" && /^{{ hosts.begin }}$/ { hostler = 1 }
        FILENAME == "{{ path.containerd_config }}" && index($0, "{{ containerd.pieces }}") == 1 {
            print "containerd-pieces", substr($0, length("{{ containerd.pieces }}") + 1)
        }
        FILENAME == "{{ path.resolv_conf }}" && $1 == "nameserver" { print "nameserver", $2 }
        FILENAME == "{{ path.resolved_config }}" && $1 == "nameserver" { print "resolved-nameserver", $2 }
        FILENAME == ENVIRON["resolv_conf"] && $1 == "nameserver" { print "own-nameserver", $2 }
        FILENAME == "/etc/fstab" && $1 !~ /^#/ && $3 == "swap" && $4 !~ /(^|,)noauto(,|$)/ { print "swap-at-boot", "/etc/fstab: " $1 }
        FILENAME == "/proc/mounts" && in_the_way($2) { print "mount", $2 }
        index(FILENAME, "/proc/sys/") == 1 && FNR == 1 {
            name = substr(FILENAME, 11)
            gsub(/\//, ".", name)
            gsub(/[ \t]+/, " ")
            print "sysctl", name, $0
        }
        FILENAME == "/proc/mounts" && $2 ~ "^/(etc|opt|usr|usr/local|var|var/lib)?$" { read_only[$2] = $4 ~ /(^|,)(ro|emergency_ro|shutdown)(,|$)/ }
        FILENAME == "/var/lib/dpkg/status" && $1 == "Package:" { package = $2 }
        FILENAME == "/var/lib/dpkg/status" && $1 == "Status:" && $4 !~ /^(installed|config-files|not-installed|triggers-.*)$/ { print "dpkg-half", package }
        FILENAME == "/proc/meminfo" && $1 == "MemTotal:" { print "memory", $2 }
        FILENAME == "/proc/meminfo" && $1 == "MemAvailable:" { print "memory-available", $2 }
        FILENAME == "/proc/loadavg" { print "load", $1 }
        FILENAME == "/proc/uptime" { sub(/\..*/, ""); print "uptime", $1 }
        FILENAME == "/proc/cpuinfo" && $1 == "processor" { cpus++ }
        FILENAME == "/proc/swaps" && FNR > 1 { print "swap", $1 }
        FILENAME == "/proc/net/fib_trie" && $1 == "|--" { address = $2 }
        FILENAME == "/proc/net/fib_trie" && /\/32 host LOCAL/ && address !~ /^127\./ { print "address", address }
        FILENAME == "/proc/net/if_inet6" && $6 != "lo" && $1 !~ /^fe80/ { print "address-hex", $1 }
        FILENAME == "/proc/net/route" && $3 == "00000000" && $8 != "00000000" { print "network-hex", $2, $8 }
        FILENAME == "/proc/net/ipv6_route" && $5 ~ /^0+$/ && $2 !~ /^(00|80)$/ && $1 !~ /^f[ef]/ { print "network-hex", $1, $2 }
        FILENAME == "/proc/filesystems" && $NF in asked { print "module", $NF }
        FILENAME ~ /modules\.builtin$/ {
            sub(/.*\//, "")
            sub(/\.ko.*/, "")
            gsub(/-/, "_")
            if ($0 in asked) print "module", $0
        }
        # State 0A is LISTEN.
        FILENAME ~ "^/proc/net/tcp" && $4 == "0A" { sub(/.*:/, "", $2); print "port-hex", $2 }
        END {
            print "cpus", cpus + 0
            for (path in read_only) if (read_only[path]) print "read-only", path
        }
    ' "$@"
}

# Swap that no line of fstab tells of: units, and services that make it at every start.
about_swap() {
    for unit in /etc/systemd/system/*.wants/*.swap /etc/systemd/system/*.requires/*.swap /run/systemd/generator.late/*.swap; do
        # Masked is a link to /dev/null.
        [ -e "$unit" ] && [ ! -c "/etc/systemd/system/${unit##*/}" ] && say swap-at-boot "${unit##*/}"
    done
    for generator in /usr/local/lib /usr/lib /lib; do
        [ -e "$generator/systemd/system-generators/zram-generator" ] || continue
        for config in /etc /run /usr/local/lib /usr/lib; do
            [ -e "$config/systemd/zram-generator.conf" ] || continue
            grep -q '^\[zram' "$config/systemd/zram-generator.conf" && say swap-at-boot zram-generator
            break
        done
        break
    done
}

about_asked() {
    set -f
    IFS=$newline
    for path in $links; do
        [ -L "$path" ] && printf 'link\t%s\t%s\n' "$path" "$(readlink "$path")"
    done
    for program in $programs; do
        command -v "$program" > /dev/null && printf 'program\t%s\n' "$program"
    done
    # about_system knows more of them.
    for module in $modules; do
        if [ -d "/sys/module/$module" ]; then printf 'module\t%s\n' "$module"; fi
        # Built in, it is neither a folder of /sys/module nor a line of any list, but what it brings is there.
        if [ "$module" = br_netfilter ] && [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then printf 'module\t%s\n' "$module"; fi
    done
    # What is called as a program of hostler's, and is someone else's: hostler's are links into its own folder.
    for command in $commands; do
        command=/usr/local/bin/$command
        { [ -e "$command" ] || [ -L "$command" ]; } && set -- "$@" "$command"
    done
    [ $# = 0 ] || stat -c "%n$tab%N" -- "$@" 2> /dev/null | awk '
        index($0, " -> \047{{ path.root }}/") == 0 { sub(/\t.*/, ""); print "other-command\t" $0 }'
    unset IFS
    set +f
}

{% include "machine/file-facts.sh" %}

# One question to systemd, for the units asked for and for those that tell of the clock, swap and other people's clusters.
about_units() {
    set -f
    IFS=$newline
    # shellcheck disable=SC2086 # a unit a line
    set -- $units
    unset IFS
    set +f
    time_services='chrony.service chronyd.service ntp.service ntpd.service ntpsec.service openntpd.service systemd-timesyncd.service'
    # shellcheck disable=SC2086 # words
    set -- "$@" $time_services {{ systemd.containerd }} docker.service zramswap.service zram-config.service dphys-swapfile.service \
        k3s.service k3s-agent.service rke2-server.service rke2-agent.service k0scontroller.service k0sworker.service \
        snap.microk8s.daemon-kubelite.service
    shown=$(
        systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState -p NeedDaemonReload -p ActiveEnterTimestampMonotonic -p FragmentPath -p DropInPaths -p ExecStart -- "$@" \
            2> /dev/null | asked=$units time_services=$time_services awk '
            BEGIN {
                RS = ""
                FS = "\n"
                OFS = "\t"
                split(ENVIRON["asked"], names, "\n")
                for (i in names) asked[names[i]] = 1
                split(ENVIRON["time_services"], names, " ")
                for (i in names) clock[names[i]] = 1
            }
            {
                gsub(/\t/, " ")
                # Its lines become fields.
                $1 = $1
                for (i = 1; i <= NF; i++) if ($i ~ /^Id=/) id = substr($i, 4)
                if (id in clock && /ActiveState=active/) print "clock-synchronized", id
                if (!/LoadState=not-found/) print id in asked ? "unit" : "other-unit", $0
            }'
    )
    printf '%s\n' "$shown"
    case $shown in
    *clock-synchronized*) ;;
    *)
        # A container cannot set the clock: its host keeps it right, or nobody does.
        if [ -e /run/systemd/container ]; then
            say clock-synchronized container
        elif [ "$(timedatectl show -p NTPSynchronized --value 2> /dev/null)" = yes ]; then
            say clock-synchronized kernel
        fi
        ;;
    esac
}

about_apt() {
    [ ! -e {{ path.kubelet_kubeconfig }} ] && [ -e /var/lib/dpkg/lock ] || return 0
    for inode in $(stat -c %i /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock 2> /dev/null); do
        while read -r _ _ _ _ process place _; do
            case $place in
            *":$inode")
                first "/proc/$process/comm" || line='a process'
                say apt-lock "$line" "$process"
                return
                ;;
            esac
        done < /proc/locks
    done
}

about_others() {
    # What its owner told it wins over every other of its files, while it runs at all.
    if [ ! -e /etc/cloud/cloud-init.disabled ]; then
        grep -Eqs '^(manage_etc_hosts: *.?([Tt]rue|localhost)|preserve_hostname: *[Ff]alse)' /var/lib/cloud/instance/cloud-config.txt && say cloud-user-data
    fi
    # Beside each inhibitor is a named pipe, and whoever reads it waits for as long as the inhibitor's program lives.
    for inhibitor in /run/systemd/inhibit/*; do
        [ -f "$inhibitor" ] && grep -qs '^WHO=kubelet$' "$inhibitor" && say delays-shutdown
    done
    for program in k3s rke2 k0s microk8s; do
        for folder in /usr/local/bin /usr/bin /opt/bin /opt/rke2/bin /snap/bin; do
            [ -x "$folder/$program" ] && say other-program "$folder/$program"
        done
    done
}

about_kubernetes() {
    # A control plane is known by what only a control plane has: one of these files may be missing, but not all.
    control_plane='' joined=''
    for file in {{ path.pki }}/ca.key {{ path.manifests }}/etcd.yaml {{ path.manifests }}/kube-apiserver.yaml {{ path.etcd }}/member; do
        [ ! -e "$file" ] || control_plane=1
    done
    [ ! -e {{ path.etcd }}/member ] || say etcd-data
    # Without kubelet.conf, the certificate that kubelet got as a node, or etcd's data and the CA's key, still say that this is no leftover.
    if [ -e {{ path.kubelet_kubeconfig }} ] || [ -e {{ path.kubelet_pki }}/kubelet-client-current.pem ] ||
        { [ -e {{ path.etcd }}/member ] && [ -e {{ path.pki }}/ca.key ]; }; then
        joined=1
        say joined
        [ ! -e {{ path.kubelet_kubeconfig }} ] || say joined-at "$(stat -c %Y {{ path.kubelet_kubeconfig }})"
    fi
    if [ -n "$joined" ]; then
        # Of all configurations containerd takes the one whose name comes first.
        for file in {{ path.cni_config }}/*; do
            case $file in
            *.conf | *.conflist | *.json)
                say cni "$file"
                break
                ;;
            esac
        done
        set -- {{ node_files | words }}
        if [ -n "$control_plane" ]; then
            say control-plane
            set -- "$@" {{ path.etcd }}/member {{ control_plane_files | words }}
        fi
        for file; do
            case $file in
            # It may be in the kubeconfig itself.
            */kubelet-client-current.pem) grep -q kubelet-client-current.pem {{ path.kubelet_kubeconfig }} 2> /dev/null || continue ;;
            # kubelet makes it later.
            */kubelet-server-current.pem) continue ;;
            esac
            [ -e "$file" ] || say missing "$file"
        done
    else
        # kubeadm wants no manifest at all on a worker, whose ever it is; of kubeconfigs only its own stop it.
        for path in {{ path.manifests }}/*.yaml {{ path.admin }} {{ path.controller_manager }} {{ path.scheduler }} \
            {{ path.kubernetes }}/super-admin.conf {{ path.bootstrap_kubeconfig }} {{ path.pki }}/ca.crt {{ path.etcd }}/member \
            {{ path.kubelet_config }} {{ path.cni_config }}/*.conf {{ path.cni_config }}/*.conflist; do
            case $path in
            # They come with podman, CRI-O and containerd's own packages, and sort after a cluster's.
            */87-podman* | *crio* | *loopback*) continue ;;
            esac
            [ -e "$path" ] && say leftover "$path"
        done
    fi
    # Only what kubeadm and kubelet write: another file in these folders is its owner's, and may end as it likes.
    # kubelet's configuration has no end by which it could be known to be whole.
    set -- {{ node_files | reject("eq", path.kubelet_config) | words }}
    [ -z "$control_plane" ] || set -- "$@" {{ control_plane_files | words }}
    for file; do
        shift
        if [ ! -f "$file" ] || [ ! -r "$file" ]; then continue; fi
        # awk says nothing of a file without a line.
        if [ -s "$file" ]; then set -- "$@" "$file"; else say damaged "$file"; fi
    done
    # Of the files only what is public is printed: certificates, never keys.
    [ $# = 0 ] || awk '
        # Each kind of file ends with something without which it is half a file.
        function whole() { if (file != "" && !ended) print "damaged", file }
        BEGIN { OFS = "\t" }
        FNR == 1 { whole(); file = FILENAME; ended = inside = 0 }
        file ~ /\.yaml$/ && /^status:/ { ended = 1 }
        file == "{{ path.manifests }}/etcd.yaml" && match($0, /--initial-advertise-peer-urls=https:\/\/.*:/) {
            address = substr($0, RSTART + 38, RLENGTH - 39)
            gsub(/[][]/, "", address)
            print "etcd-address", address
        }
        file ~ /\.conf$/ && $1 ~ /^(client-key|client-key-data|token):$/ && $2 != "" { ended = 1 }
        file ~ /\.crt$/ && /^-----END CERTIFICATE-----/ { ended = 1 }
        file ~ /\.(key|pem)$/ && /^-----END .*PRIVATE KEY-----/ { ended = 1 }
        file ~ /\.pub$/ && /^-----END PUBLIC KEY-----/ { ended = 1 }
        file ~ /\.env$/ && /^KUBELET_KUBEADM_ARGS=".*"$/ { ended = 1 }
        END { whole() }
        { sub(/\r$/, "") }
        /^-----END CERTIFICATE-----/ { if (inside) print "certificate", FILENAME, der; inside = 0 }
        inside { der = der $0 }
        /^-----BEGIN CERTIFICATE-----/ { inside = 1; der = "" }
        $1 == "client-certificate-data:" { print "client-certificate", FILENAME, $2 }
        FILENAME == "{{ path.kubelet_kubeconfig }}" {
            if ($1 == "server:") print "server", $2
            if ($1 == "certificate-authority-data:") print "authority", $2
            if ($1 == "current-context:") print "context", $2
        }
    ' "$@"
}

{% include "network/tunnel.sh" %}
about_tunnel() { tunnel_silent 1 1 | while read -r end; do say silent "$end"; done; }

{% include "network/vip.sh" %}

about_runs() {
    for file in {{ path.applied }}/*; do
        first "$file" && say applied "${file##*/}" "$line"
    done
    for file in {{ path.steps }}/*; do
        # Held by whoever lives: a shared lock, let go of at once, can't be had.
        if [ ! -f "$file" ] || [ ! -r "$file" ] || flock -n -s 9 9< "$file"; then continue; fi
        run='' step='' since=''
        while IFS='=' read -r name value; do
            case $name in
            run) run=$value ;;
            step) step=$value ;;
            since) since=$value ;;
            esac
        done < "$file"
        [ -n "$run" ] && say lock "$run" "$step" "$since"
    done
}

about_images() {
    # REF TYPE DIGEST SIZE PLATFORMS LABELS; a size is two words, but comes after what is wanted. A machine that is very busy takes seconds, and
    # what is not told would be sent again.
    ctr --timeout 20s --namespace k8s.io images ls 2> /dev/null | awk '
        $3 ~ /^sha256:/ { print "image\t" $1 "\t" $3 "\t" ($0 ~ /io\.cri-containerd\.pinned=pinned/ ? "pinned" : "") }'
}

# Folders that films go through, looked at as their owner. A server that does not answer holds whoever looks: so a process of its own does.
about_shares() {
    zone=$(readlink -f /etc/localtime)
    case $zone in
    */zoneinfo/*) say time-zone "${zone##*/zoneinfo/}" ;;
    esac
    set -f
    IFS=$newline
    for path in $shares; do
        # shellcheck disable=SC2016 # the inner shell's
        seen=$(timeout -s KILL 2 setpriv --reuid "$uid" --regid "$gid" --clear-groups sh -c '
            if [ ! -d "$1/." ]; then
                printf missing
                exit
            fi
            state=read-only
            [ ! -w "$1" ] || [ ! -x "$1" ] || state=writable
            printf "%s\t%s\t%s" "$state" "$(stat -c "%u:%g$2%a" "$1")" "$(stat -f -c "%S$2%a" "$1")"' sh "$path" "$tab" 2> /dev/null) || seen=hangs
        printf 'share\t%s\t%s\n' "$path" "$seen"
    done
    unset IFS
    set +f
}

{% include "machine/disk-facts.sh" %}

# Through which programs use a graphics chip, and which chip that is, where the kernel says so.
about_render() {
    for node in /dev/dri/renderD*; do
        [ -c "$node" ] || continue
        chip=/sys/class/drm/${node##*/}/device
        vendor='' device=''
        first "$chip/vendor" && vendor=$line
        first "$chip/device" && device=$line
        # Major and minor, in hex.
        say render-node "${node##*/}" "$(stat -L -c "%t$tab%T" "$node")" "$vendor" "$device"
    done
}

about_upgrade() {
    first {{ path.before_upgrade }}/set || return 0
    set=$line
    kept=files
    [ ! -e {{ path.before_upgrade }}/{{ archive.etcd }} ] || kept=$kept,etcd
    [ ! -e {{ path.before_upgrade }}/back ] || kept=$kept,back
    say before-upgrade "$set" "$(stat -c %Y {{ path.before_upgrade }}/set)" "$kept"
}

{% include "machine/timers-facts.sh" %}

{% include "kubernetes/facts.sh" %}

about_machine() {
    about_kernel
    about_system
    about_swap
    about_asked
    about_places
    about_files
    about_units
    about_apt
    about_others
    about_kubernetes
    about_runs
    about_upgrade
    about_renewal
    about_notify
    about_snapshots
    about_shares
    about_disks
    about_render
{% if system %}
    about_own_system
{% endif %}
}

# Other machines, images and the cluster are asked meanwhile, where there are any, and the disk is tried.
about_node() {
    about_fsync < /dev/null | {
        about_vip < /dev/null | {
            { [ -z "$tunnel" ] || about_tunnel < /dev/null; } | {
                if [ -n "$images" ] && [ -S {{ path.containerd_socket }} ]; then
                    about_images < /dev/null | {
                        about_machine < /dev/null
                        cat
                    }
                else
                    about_machine < /dev/null
                fi
                cat
            }
            cat
        }
        cat
    }
}

facts() {
    echo '{{ say.facts_begin }}'
    if [ -r {{ path.admin }} ] && [ -e {{ path.manifests }}/kube-apiserver.yaml ]; then
        about_cluster | {
            about_node < /dev/null
            cat
        }
    else
        about_node
    fi
    echo '{{ say.facts_end }}'
}

# A script that was cut on its way ends before this line and does nothing.
facts < /dev/null
