#!/bin/sh
# Runs on the computer, as mmdebstrap's hook, when the machine's root file system ($1) is complete: fetches the packages that machines
# will ask for, makes them a signed apt repository, and takes out what a fresh machine must not have.
set -eu
root=$1
: "${HOSTLER_REPOSITORY:?}" "${HOSTLER_PACKAGES:?}" "${MMDEBSTRAP_APT_CONFIG:?}"

mkdir -p "$HOSTLER_REPOSITORY/partial"
# The root file system's own dpkg status decides which dependencies are missing there.
# shellcheck disable=SC2086 # a list of names
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --download-only -o "Dir::Cache::archives=$HOSTLER_REPOSITORY" install $HOSTLER_PACKAGES
rm -rf "$HOSTLER_REPOSITORY/partial" "$HOSTLER_REPOSITORY/lock"

cd "$HOSTLER_REPOSITORY"
apt-ftparchive packages . > Packages
gzip --keep --best Packages
apt-ftparchive -o APT::FTPArchive::Release::Origin=hostler -o APT::FTPArchive::Release::Label='hostler lab' release . > "$HOSTLER_REPOSITORY.release"
mv "$HOSTLER_REPOSITORY.release" Release

# The key signs once and is thrown away: nobody can sign anything else for these machines.
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-generate-key 'hostler lab' ed25519 sign never
gpg --batch --quiet --clearsign --output InRelease Release
gpg --batch --quiet --armor --export > hostler-lab.asc
gpgconf --kill all
rm -rf "$GNUPGHOME"

# Only the lab's repository is known to the machines.
install -D -m 644 hostler-lab.asc "$root/etc/apt/keyrings/hostler-lab.asc"
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
# Every machine gets host keys of its own.
rm -f "$root"/etc/ssh/ssh_host_*
