# shellcheck shell=bash disable=SC2154 # lab and work are set by who sources this
# What a lab could leave on the computer: `traces` prints all of it, one thing a line, so that two of its outputs can be compared.
# Sourced by tests that set lab (the lab's name), work (a folder of theirs), and have wait_for. Only what is named here is left out, each for a reason.

# BESIDE=1 says that another lab, the one without a name, comes and goes meanwhile: then what is its own is left out.
other_lab() {
    if [[ -n ${BESIDE:-} ]]; then
        grep --invert-match --extended-regexp "$1" || true
    else
        cat
    fi
}

network_namespaces() {
    ip netns list | cut -d ' ' -f 1 | other_lab '^hostler-lab($|-)'
}

mounts() {
    # Point, type and source; the numbers before them are the kernel's.
    awk '{ for (i = 6; $i != "-"; i++); print $5, $(i + 1), $(i + 2) }' /proc/self/mountinfo | other_lab '^/run/netns(/hostler-lab(-[a-z]*)?)? '
}

loop_devices() {
    losetup --list --noheadings --output NAME,BACK-FILE | other_lab ' /var/lib/hostler/lab/'
}

# Groups without a process in them or below: what a lab leaves has none any more. Others' groups come and go with their processes.
cgroups() {
    local in_use
    in_use=$(grep --recursive --files-with-matches --no-messages . --include=cgroup.procs /sys/fs/cgroup || true)
    find /sys/fs/cgroup -type d | while IFS= read -r group; do
        [[ $in_use == *"$group/"* ]] || echo "$group"
    done | if [[ -n ${BESIDE:-} ]]; then
        # Below a group `lab`, those whose name does not begin with this lab's.
        awk -v ours="$lab-" '{ at = match($0, "/lab(/|$)"); if (at == 0 || index(substr($0, at + 5), ours) == 1) print }'
    else
        cat
    fi
}

settings() {
    # Counters, random numbers, and the last process id are no settings.
    sysctl --all 2>/dev/null | grep --invert-match --extended-regexp \
        '^(kernel\.random\.|kernel\.ns_last_pid|kernel\.pty\.nr|fs\.dentry-state|fs\.inode-|fs\.file-nr|fs\.quota\.|fs\.aio-nr|net\.netfilter\.nf_conntrack_count)' |
        other_lab '^(kernel\.panic|kernel\.panic_on_oops|vm\.overcommit_memory|fs\.inotify\.[a-z_]*) ='
}

folders() {
    # On a computer that never had a lab not all of them are there.
    { find /var/lib/hostler /run/systemd /run/netns -maxdepth 3 2>/dev/null || true; } |
        other_lab '^/var/lib/hostler/(lab|computer.json)($|/)|^/var/lib/hostler$|^/run/netns/hostler-lab($|-)|^/run/netns$|^/run/systemd/nspawn/locks/' |
        other_lab "^/run/systemd/nspawn/[a-z-]+/[a-z]+$"
}

# Zombies hold nothing, and the computer's init collects them when it likes; all_collected looks for those that hostler has to collect itself.
# A process is of this lab when it carries its name in the environment, as all do that hostler starts, or is in its cgroups.
processes() {
    local process
    for process in /proc/[0-9]*; do
        ! grep --quiet '^State:.*Z' "$process/status" 2>/dev/null || continue
        if grep --quiet --null-data --line-regexp "HOSTLER_LAB=$lab" "$process/environ" 2>/dev/null ||
            grep --quiet "/lab/$lab-" "$process/cgroup" 2>/dev/null; then
            echo "${process#/proc/} $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)"
        fi
    done
}

# Succeeds when none of the programs that a lab starts has ended without anybody asking how: it has no environment any more, so it is
# known by its name.
all_collected() {
    ! ps -A -o stat= -o comm= |
        awk '$1 ~ /^Z/ && $2 ~ /^(hostler|systemd-nspawn|unshare|mmdebstrap|qemu-system-x86)$/ { found = 1 } END { exit !found }'
}

network() {
    ip -oneline link show | cut -d ' ' -f 2
    ip -oneline address show | awk '{ print $2, $3, $4 }'
    ip route show table all
    ip -6 route show table all
}

traces() {
    local kind
    for kind in network_namespaces mounts loop_devices cgroups settings folders processes network; do
        # Not themselves processes of the lab, where the script exports its name.
        "$kind" | LC_ALL=C env --unset HOSTLER_LAB sort | env --unset HOSTLER_LAB sed "s|^|$kind: |"
    done
}

# differences BEFORE AFTER: what is more or less than before, a line each; fails when there is any. A lock that systemd-nspawn left when the
# computer lost its power is nobody's: the next machine on that loop device takes it over, and removes it.
differences() {
    local found
    # diff and grep end with 1 where there is, or is not, something: what counts is what was found.
    found=$(diff "$1" "$2" | grep '^[<>]' | grep --invert-match '^< folders: /run/systemd/nspawn/locks/') || true
    [ -z "$found" ] || { printf '%s\n' "$found"; return 1; }
}

# nothing_left: what is more or less than in "$work/before", as differences tells it, once all processes that ended were asked how.
nothing_left() {
    wait_for 10 "ended processes to be collected" all_collected && traces >"$work/after" && differences "$work/before" "$work/after"
}
