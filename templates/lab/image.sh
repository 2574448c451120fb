#!/bin/sh
# Runs on the computer, as mmdebstrap's hook, when the machine's root file system ($1) is complete: fetches the packages that machines
# will ask for, makes them a signed apt repository, and takes out what a fresh machine must not have.
set -eu
root=$1
: "${HOSTLER_IMAGE:?}" "${HOSTLER_PACKAGES:?}" "${MMDEBSTRAP_APT_CONFIG:?}"
repository=$HOSTLER_IMAGE/apt

mkdir -p "$repository/partial"
# The root file system's own dpkg status decides which dependencies are missing there.
# shellcheck disable=SC2086 # a list of names
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --download-only -o "Dir::Cache::archives=$repository" install $HOSTLER_PACKAGES
rm -rf "$repository/partial" "$repository/lock"

cd "$repository"
apt-ftparchive packages . > Packages
gzip --keep --best Packages
apt-ftparchive -o APT::FTPArchive::Release::Origin=hostler -o APT::FTPArchive::Release::Label='hostler lab' release . > "$repository.release"
mv "$repository.release" Release

# The key signs once and is thrown away: nobody can sign anything else for these machines.
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-generate-key 'hostler lab' ed25519 sign never
gpg --batch --quiet --clearsign --output InRelease Release
gpg --batch --quiet --armor --export > hostler-lab.asc
gpgconf --kill all
rm -rf "$GNUPGHOME"

# Only the lab's repository is known to the machines; its key comes with each disk.
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
# Every machine gets host keys of its own.
rm -f "$root"/etc/ssh/ssh_host_*
