packages={{ packages | join(" ") | quote }}
export DEBIAN_FRONTEND=noninteractive

command -v apt-get > /dev/null || fail "there is no apt-get here: install $packages by hand"

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

# shellcheck disable=SC2086 # a list of words
install() { apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=30 $packages < /dev/null; }
install || { apt-get update -qq < /dev/null && install; } || { busy; fail "apt can't install $packages"; }
