# shellcheck shell=bash disable=SC2034 # the lists are for those that source this
# The Debian and Ubuntu packages that building, testing and the lab's scripts need. Sourced by tests/run and .ci/run. The packages that
# hostler needs itself, for `lab up` and `bundle create`, it installs itself: src/workstation/packages.rs.

# The linker, and a C compiler for ring and zstd.
build_packages=(ca-certificates gcc git libc6-dev)

test_packages=(
    age                                               # encrypted snapshots
    dash shellcheck                                   # every script, as a machine would get it
    openssh-client openssh-server                     # a real sshd to log in to
    openssl                                           # a cluster that signs certificates
    bsdutils fish sudo tcsh zsh                       # accounts with other shells, and a terminal
    diffutils procps util-linux                       # the facts of a machine
    dosfstools e2fsprogs mtools                       # sticks
    python3 python3-jsonschema                        # the schema of the inventory
    dvdauthor ffmpeg genisoimage handbrake-cli        # films
    ntfs-3g                                           # a library on a USB disk
    chromium chromium-driver                          # the status page
    debian-archive-keyring mmdebstrap xz-utils        # a bundle built from source, for its kubeadm
)

# Without root, accounts are made in a user namespace.
[ "$(id -u)" = 0 ] || test_packages+=(uidmap)

# What tests/lab calls on this computer.
lab_packages=(age bindfs curl e2fsprogs findutils iproute2 mount nftables perl strace)

# Ubuntu has these as snaps only. Without them the tests of the status page do not run.
optional_packages=' chromium chromium-driver '

is_package_installed() {
    dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2> /dev/null | grep --quiet --line-regexp installed
}

has_package() {
    apt-cache policy "$1" 2> /dev/null | grep --quiet '^  Candidate: [^(]'
}

# install_packages PACKAGE...: prints which ones are missing, and installs them. Fails, saying what to do, where neither root nor sudo is there.
install_packages() {
    local package missing=() wanted=() as_root=()
    if ! command -v apt-get > /dev/null; then
        echo 'error: this computer has no apt; the tests know Debian and Ubuntu' >&2
        echo "hint: install what corresponds to $*, then run \`cargo test\`" >&2
        return 1
    fi
    for package; do
        is_package_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "missing packages: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        as_root=(sudo)
        # Without a terminal, sudo can't ask for a password.
        if ! command -v sudo > /dev/null || ! { [ -t 0 ] || sudo --non-interactive true 2> /dev/null; }; then
            echo 'error: packages are missing, and installing them needs root or sudo' >&2
            echo "hint: as root, run \`apt-get update && apt-get install --no-install-recommends ${missing[*]}\`" >&2
            return 1
        fi
    fi
    if [[ " ${missing[*]} " == *' openssh-server '* && -d /run/systemd/system ]]; then
        echo 'openssh-server starts sshd on this computer; the tests do not need it running: systemctl disable --now ssh'
    fi
    echo 'installing them with apt-get'
    "${as_root[@]}" apt-get update --quiet --quiet
    for package in "${missing[@]}"; do
        if [[ $optional_packages != *" $package "* ]] || has_package "$package"; then wanted+=("$package"); fi
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${wanted[@]}" > /dev/null
}
