#!/usr/bin/env bash
# benches/hosts/run.sh [COUNT] [ROUNDS] [TOOL...]: the same preparation of COUNT light hosts (20) with hostler, pyinfra, Ansible, and the limit:
# one connection of hostler's and one shell script a host. First on blank hosts, then again where nothing is left to do; all tools in turn,
# ROUNDS times (5). As root; needs cargo, mmdebstrap, iproute2, openssh-client, time, python3-venv.
#
# A light host is a network, mount, PID and UTS namespace, a tmpfs over a small Debian, and an sshd. No systemd runs there: `systemctl` does
# without (see the file of that name), for every tool alike. All of it lives in a network and a PID namespace of this script, so it ends with
# the script, however that ends; the computer's own network is not touched.
#
# PROGRAM: what to measure instead of building it. HOSTLER_BENCH: where the small Debian and the other tools are kept.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=${HOSTLER_BENCH:-/var/cache/hostler-bench}
count=${1:-20} rounds=${2:-5}
tools=("${@:3}")
[ ${#tools[@]} -gt 0 ] || tools=(limit hostler pyinfra ansible)
suite=trixie
packages=systemd,openssh-server,iproute2,iptables,nftables,conntrack,socat,ethtool,kmod,procps,mount,hostname,python3-minimal,python3-apt

# What needs the network, and stays for the next time.
if [ -z "${HOSTLER_BENCH_INSIDE:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "run this as root: it makes namespaces" >&2; exit 2; }
    [[ $count =~ ^[1-9][0-9]*$ && $count -le 1000 && $rounds =~ ^[1-9][0-9]*$ ]] ||
        { echo "usage: $0 [COUNT (1 to 1000)] [ROUNDS] [TOOL...]" >&2; exit 2; }
    program=${PROGRAM:-$(cd "$here" && cargo bench --quiet --no-run --bench hosts --message-format json |
        sed -n 's/.*"name":"hosts".*"executable":"\([^"]*\)".*/\1/p')}
    mkdir -p "$cache"
    if [ ! -d "$cache/$suite" ]; then
        echo "making a small Debian, once" >&2
        rm -rf "$cache/$suite.new"
        # shellcheck disable=SC2016 # mmdebstrap's $1
        unshare --mount --pid --fork --kill-child --mount-proc mmdebstrap --quiet --variant=minbase --include="$packages" \
            --customize-hook='mv "$1/usr/bin/systemctl" "$1/usr/bin/systemctl.real" && rm -f "$1/usr/bin/hostnamectl"' \
            "$suite" "$cache/$suite.new" > /dev/null
        mv "$cache/$suite.new" "$cache/$suite"
    fi
    if [ ! -e "$cache/tools/ready" ]; then
        echo "installing pyinfra and Ansible, once" >&2
        python3 -m venv --clear "$cache/tools"
        "$cache/tools/bin/pip" install --quiet 'pyinfra>=3,<4' 'ansible-core==2.19.*'
        touch "$cache/tools/ready"
    fi
    # Only SIGKILL ends unshare while something runs in it; all that runs in it ends then, too.
    trap 'kill -KILL "$inside" 2> /dev/null || true; wait; rmdir /run/hostler-bench 2> /dev/null || true' EXIT
    trap 'exit 130' INT TERM HUP
    HOSTLER_BENCH_INSIDE=yes PROGRAM=$(realpath "$program") \
        unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$count" "$rounds" "${tools[@]}" &
    inside=$!
    wait "$inside"
    exit
fi

program=$PROGRAM
work=/run/hostler-bench
mkdir -p "$work"
mount -t tmpfs tmpfs "$work"
names=() addresses=()
for ((i = 1; i <= count; i++)); do
    names+=("$(printf 'host-%03d' "$i")")
    addresses+=("172.28.$((i / 250)).$((i % 250 + 2))")
done

# The bridge, and for each host a network that lasts: a sleeper holds it.
holders=()
network() {
    ip link set lo up
    ip link add hosts type bridge
    ip address add 172.28.255.254/16 dev hosts
    ip link set hosts up
    for i in "${!names[@]}"; do
        unshare --net sleep infinity &
        holders+=($!)
    done
    for i in "${!names[@]}"; do
        until [ "$(readlink "/proc/${holders[i]}/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
        printf 'link add h%s type veth peer name eth0 netns %s\n' "$i" "${holders[i]}"
        printf 'link set h%s master hosts up\n' "$i"
    done | ip -batch -
    for i in "${!names[@]}"; do
        printf 'link set lo up\naddress add %s/16 dev eth0\nlink set eth0 up\n' "${addresses[i]}" |
            nsenter --net="/proc/${holders[i]}/ns/net" ip -batch -
    done
}

# What all hosts have beside their Debian, and what is each one's own.
seeds() {
    local all=$work/seed/all seed
    mkdir -p "$work/home" "$all/etc/ssh" "$all/root/.ssh" "$all/run/sshd" "$all/run/systemd/system" "$all/usr/bin"
    ssh-keygen -q -t ed25519 -N '' -f "$work/key"
    install -m 600 "$work/key.pub" "$all/root/.ssh/authorized_keys"
    chmod 700 "$all/root" "$all/root/.ssh"
    printf '%s\n' 'PermitRootLogin prohibit-password' 'UsePAM no' 'PrintMotd no' 'UseDNS no' 'Subsystem sftp internal-sftp' \
        'HostKey /etc/ssh/ssh_host_ed25519_key' > "$all/etc/ssh/sshd_config"
    echo light > "$all/run/systemd/container"
    head -n 1 /proc/swaps > "$all/run/swaps"
    install -m 755 "$here/systemctl" "$all/usr/bin/systemctl"
    echo '127.0.0.1 localhost' > "$all/etc/hosts"
    echo localhost > "$all/etc/hostname"
    echo 'nameserver 172.28.255.254' > "$all/etc/resolv.conf"
    printf '%s\n' '/dev/vda1 / ext4 defaults 0 1' '/dev/vda2 none swap sw 0 0' > "$all/etc/fstab"
    for i in "${!names[@]}"; do
        seed=$work/seed/${names[i]}
        mkdir -p "$seed/etc/ssh" "$work/disk/${names[i]}" "$work/log"
        ssh-keygen -q -t ed25519 -N '' -C '' -f "$seed/etc/ssh/ssh_host_ed25519_key"
        printf '%s' "${names[i]}" | md5sum | cut -d ' ' -f 1 > "$seed/etc/machine-id"
        printf '%s %s\n' "${addresses[i]}" "$(cat "$seed/etc/ssh/ssh_host_ed25519_key.pub")" >> "$work/known_hosts"
    done
}

# The same machines for each tool, in its own words.
inventories() {
    {
        printf 'ssh:\n  user: root\n  identity: %s\nmachines:\n' "$work/key"
        for i in "${!names[@]}"; do
            printf '  %s:\n    address: %s\n    hostKey: %s\n' "${names[i]}" "${addresses[i]}" \
                "$(cat "$work/seed/${names[i]}/etc/ssh/ssh_host_ed25519_key.pub")"
        done
    } > "$work/inventory.yaml"
    "$program" write "$work/inventory.yaml" "$work/files" > /dev/null
    {
        printf 'hosts = [\n'
        for i in "${!names[@]}"; do
            printf '    ("%s", {"ssh_hostname": "%s", "hosts_lines": """%s"""}),\n' "${names[i]}" "${addresses[i]}" \
                "$(cat "$work/files/hosts/${names[i]}")"
        done
        printf ']\nall = (hosts, {"ssh_user": "root", "ssh_key": "%s", "ssh_known_hosts_file": "%s", "files": "%s",\n' \
            "$work/key" "$work/known_hosts" "$work/files"
        printf '    "ssh_strict_host_key_checking": "yes"})\n'
    } > "$work/inventory.py"
    {
        printf '{"all": {"vars": {"ansible_user": "root", "ansible_ssh_private_key_file": "%s", "files": "%s",\n' "$work/key" "$work/files"
        printf '    "ansible_python_interpreter": "/usr/bin/python3"}, "hosts": {\n'
        for i in "${!names[@]}"; do
            [ "$i" = 0 ] || printf ',\n'
            printf '    "%s": {"ansible_host": "%s", "hosts_lines": "%s"}' "${names[i]}" "${addresses[i]}" \
                "$(sed -z 's/\n$//; s/\n/\\n/g' "$work/files/hosts/${names[i]}")"
        done
        printf '}}}\n'
    } > "$work/ansible.json"
    printf '%s\n' '[defaults]' "forks = $count" 'retry_files_enabled = false' "home = $work/home/ansible" 'nocows = true' \
        '[ssh_connection]' 'pipelining = true' \
        "ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=$work/known_hosts -o StrictHostKeyChecking=yes" \
        > "$work/ansible.cfg"
}

sshds=()
blank() {
    if [ ${#sshds[@]} -gt 0 ]; then
        kill -KILL "${sshds[@]}"
        wait "${sshds[@]}" 2> /dev/null || true
    fi
    sshds=()
    rm -f "$work"/log/*
    for i in "${!names[@]}"; do
        nsenter --net="/proc/${holders[i]}/ns/net" unshare --mount --uts --pid --fork --kill-child \
            "$here/host.sh" "$work/disk/${names[i]}" "$cache/$suite" "$work/seed/all" "$work/seed/${names[i]}" > "$work/log/${names[i]}" 2>&1 &
        sshds+=($!)
    done
    local end=$((SECONDS + 120))
    until [ "$(grep -ls 'Server listening' "$work"/log/* | wc -l)" = "$count" ]; do
        [ $SECONDS -lt $end ] || { cat "$work"/log/* >&2; echo "not all hosts came up" >&2; exit 1; }
        sleep 0.1
    done
}

number=0
# once TOOL: its words are kept in $work/out; what time tells in $work/time.
once() {
    number=$((number + 1))
    local command
    case $1 in
    limit) command=("$program" limit "$work/inventory.yaml") ;;
    hostler) command=("$program" prepare "$work/inventory.yaml") ;;
    pyinfra) command=("$cache/tools/bin/pyinfra" -y "$work/inventory.py" "$here/deploy.py") ;;
    # Connections that an earlier run left open are none of this one's.
    ansible) command=(env ANSIBLE_CONFIG="$work/ansible.cfg" ANSIBLE_SSH_CONTROL_PATH_DIR="$work/cp$number" PATH="$cache/tools/bin:$PATH"
        ansible-playbook -i "$work/ansible.json" "$here/playbook.yaml") ;;
    *) echo "there is no tool $1" >&2; exit 2 ;;
    esac
    (cd "$work" && env -u SSH_AUTH_SOCK HOME="$work/home" /usr/bin/time -o "$work/time" -f '%e %M' "${command[@]}") > "$work/out" 2>&1 || true
}

network
seeds
inventories
for ((round = 1; round <= rounds; round++)); do
    for tool in "${tools[@]}"; do
        blank
        for run in first converged; do
            once "$tool"
            # Whether it is all done is for one judge to say, the same for all.
            "$program" look "$work/inventory.yaml" > "$work/looked" 2>&1 || { cat "$work/looked" >&2; exit 1; }
            failed=$(sed -n 's/^failed //p' "$work/looked")
            if [ "$failed" != 0 ]; then
                head -n 5 "$work/looked" >&2
                tail -n 15 "$work/out" >&2
            fi
            read -r seconds kilobytes < <(tail -n 1 "$work/time")
            echo "$run $tool $seconds $kilobytes $failed" >> "$work/all"
            printf 'round %s: %-9s %-8s %7.2f s %5d MB, %s failed\n' "$round" "$run" "$tool" "$seconds" $((kilobytes / 1024)) "$failed"
        done
    done
done

echo
echo "$count hosts, medians of $rounds; memory is that of the largest process"
printf '%-10s %-8s %9s %12s %9s %7s\n' run tool seconds "to limit" MB failed
for run in first converged; do
    for tool in "${tools[@]}"; do
        grep "^$run $tool " "$work/all" | sort -n -k 3 | awk -v limit="$(grep "^$run limit " "$work/all" | sort -n -k 3 | awk '{ all[NR] = $3 }
            END { print all[int((NR + 1) / 2)] }')" '
            { seconds[NR] = $3; if ($4 > memory) memory = $4; failed += $5 }
            END {
                median = seconds[int((NR + 1) / 2)]
                printf "%-10s %-8s %9.2f %12s %9d %7d\n", $1, $2, median, limit ? sprintf("%.2f", median / limit) : "", memory / 1024, failed
            }'
    done
done
