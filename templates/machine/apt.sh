export DEBIAN_FRONTEND=noninteractive

said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT

# What holds apt's lock is named in the wait: it may be an upgrade that takes ten minutes.
busy() {
    for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
        [ -e "$file" ] || continue
        inode=$(stat -c %i "$file")
        pid=$(awk -v inode="$inode" '{ n = split($6, part, ":"); if (part[n] == inode) { print $5; exit } }' /proc/locks)
        [ -z "$pid" ] || temporary "$(cat "/proc/$pid/comm" 2> /dev/null || echo a process) (process $pid) to release apt's lock"
    done
}

# An installation that was cut leaves dpkg half-configured; apt refuses everything until that is configured.
configure_rest() {
    [ -n "$(dpkg --audit)" ] || return 0
    # shellcheck disable=SC2016 # dpkg's own variables
    half=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' |
        awk '$2 ~ /^(half-|unpacked|triggers-)/ && n++ < 5 { printf "%s%s", (n > 1 ? " " : ""), $1 }')
    half=${half:-packages}
    announce 600 "dpkg to configure $half after an interrupted installation"
    dpkg --configure -a --force-confdef --force-confold < /dev/null > "$said/configure" 2>&1 || {
        busy
        cat "$said/configure"
        fail "dpkg can't configure $half after an interrupted installation: $(grep -a '^dpkg: error' "$said/configure" | head -n 1)"
    }
}

# get FILE SECONDS WORDS...: apt-get, and what it says. A server that says nothing is given up soon: a machine without a way out must not wait for
# each of its sources for minutes.
get() {
    file=$1
    seconds=$2
    shift 2
    timeout --kill-after 10 "$seconds" apt-get -y -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
        -o DPkg::Lock::Timeout=30 "$@" < /dev/null > "$file" 2>&1
}
# The first sentence about what could not be had.
cause() {
    cat "$said/update" "$said/install" "$said/fetch" 2> /dev/null | grep -aE '^(E|W|Err|Ign).*(resolve|connect|reach|timed out|Failed to fetch|Unable to locate|signature|No space)' |
        head -n 1 | sed 's/^[A-Z]: *//' | cut -c 1-300
}
