#!/bin/sh
# keys.sh FILE: runs on the computer, and puts the keys of Ubuntu's archive into FILE. They come from Debian's package of them, which apt
# verifies with Debian's keys: the lab needs those for its Debian machines anyway, so nothing else has to be trusted.
set -eu
to=$1
known=/usr/share/keyrings/ubuntu-archive-keyring.gpg
if [ -e "$known" ]; then
    # Of this computer's distribution.
    cp "$known" "$to"
    exit
fi

work=$to.apt
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main' > "$work/sources.list"
cat > "$work/apt.conf" << END
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
END
export APT_CONFIG="$work/apt.conf"
apt-get update
cd "$work"
apt-get download ubuntu-keyring
dpkg-deb --extract ubuntu-keyring_*.deb files
cp "files$known" "$to"
rm -rf "$work"
