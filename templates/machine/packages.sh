packages={{ packages | join(" ") | quote }}
export DEBIAN_FRONTEND=noninteractive

command -v apt-get > /dev/null || fail "apt-get is not installed: install $packages by hand"

# What holds apt's lock is named in the wait: it may be an upgrade that takes ten minutes.
busy() {
    for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
        [ -e "$file" ] || continue
        inode=$(stat -c %i "$file")
        pid=$(awk -v inode="$inode" '{ n = split($6, part, ":"); if (part[n] == inode) { print $5; exit } }' /proc/locks)
        [ -z "$pid" ] || temporary "apt, which $(cat "/proc/$pid/comm" 2> /dev/null || echo a process) (process $pid) uses"
    done
}
busy

# An installation that was cut leaves dpkg half-configured; apt refuses everything until that is mended.
[ -z "$(dpkg --audit)" ] || dpkg --configure -a < /dev/null

said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
# get FILE SECONDS WORDS...: apt-get, and what it says. A server that says nothing is given up soon: a machine without a way out must not wait for
# each of its sources for minutes.
get() {
    file=$1
    seconds=$2
    shift 2
    timeout --kill-after 10 "$seconds" apt-get -y -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
        -o DPkg::Lock::Timeout=30 "$@" < /dev/null > "$file" 2>&1
}
# shellcheck disable=SC2086 # a list of words
fetched() { get "$said/install" 600 install --download-only --no-install-recommends $packages; }
# The first sentence about what could not be had.
cause() {
    cat "$said/update" "$said/install" 2> /dev/null | grep -aE '^(E|W|Err|Ign).*(resolve|connect|reach|timed out|Failed to fetch|Unable to locate|signature|No space)' |
        head -n 1 | sed 's/^[A-Z]: *//' | cut -c 1-300
}
# A source that is not needed may be broken: what counts is whether the packages can be had afterwards.
fetched || { get "$said/update" 180 update || :; fetched; } || {
    busy
    cat "$said/update" "$said/install" >&2 || :
    fail "apt can't fetch $packages: $(cause)"
}
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=30 $packages < /dev/null || { busy; fail "apt can't install $packages"; }
