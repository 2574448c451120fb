#!/bin/bash
# years-packages.sh HOSTLER: packages of the operating system are upgraded before a reboot, on the lab's real machines, as root; with apt busy,
# and cut in between. As rows.sh says.
# shellcheck disable=SC2016 # what is in single quotes is for machines
set -euo pipefail
hostler=$(realpath "$1")
lab=yearspkg
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

started() { on "$1" 'cat /proc/sys/kernel/random/boot_id; sed "s/.*) //" /proc/1/stat | cut -d " " -f 20'; }
remember_start() { started "$1" > "$work/start.$1"; }
restarted() { ! started "$1" | diff -q "$work/start.$1" - > /dev/null || { echo "$1 was not restarted" >&2; return 1; }; }
not_restarted() { started "$1" | diff "$work/start.$1" - >&2 || { echo "$1 was restarted" >&2; return 1; }; }
# What a machine needs to make packages, and sources of apt out of them.
tools='set -eu
# deb NAME VERSION FOLDER POSTINST: a package with a file of configuration.
deb() {
    root=$(mktemp -d)
    mkdir -p "$root/DEBIAN" "$root/etc" "/srv/$3"
    printf "Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Ada <ada@example.org>\nDescription: test\n" "$1" "$2" > "$root/DEBIAN/control"
    echo "$2" > "$root/etc/$1.conf"
    echo "/etc/$1.conf" > "$root/DEBIAN/conffiles"
    printf "#!/bin/sh\n%s\n" "$4" > "$root/DEBIAN/postinst"
    chmod 755 "$root/DEBIAN/postinst"
    dpkg-deb --build --root-owner-group "$root" "/srv/$3/$1_$2.deb" > /dev/null
}
# index FOLDER SUITE
index() {
    cd "/srv/$1"
    for file in *.deb; do
        dpkg-deb --field "$file"
        printf "Filename: ./%s\nSize: %s\nSHA256: %s\n\n" "$file" "$(stat -c %s "$file")" "$(sha256sum "$file" | cut -d " " -f 1)"
    done > Packages
    printf "Origin: ponies\nSuite: %s\nDate: %s\nSHA256:\n %s %s Packages\n" "$2" "$(date -Ru)" \
        "$(sha256sum Packages | cut -d " " -f 1)" "$(stat -c %s Packages)" > Release
    echo "deb [trusted=yes] file:/srv/$1 ./" > "/etc/apt/sources.list.d/$1.list"
}
'
# versions MACHINE NAME...: of packages.
versions() { local machine=$1; shift; on "$machine" "dpkg-query --show --showformat '\${Package}=\${Version} \${db:Status-Status} ' $*"; }
nothing_left() {
    on "$1" '[ -z "$(dpkg --audit)" ] && [ ! -e /etc/hostler/applied/packages-begun ]'
    [ -z "$(kubectl get nodes -o "'jsonpath={.items[*].spec.unschedulable}'")" ] || { echo "a node is cordoned" >&2; return 1; }
    ! kubectl -n kube-system get configmap hostler -o yaml | grep '  power\.' || return 1
}

row "a control plane and a worker"
run 0 lab up --machines 2
ready 2

row "none of apt's sources is a security suite: it says so, and nothing is upgraded or rebooted"
remember_start rainbowdash
run 1 reboot rainbowdash --os security -i "$inventory" --yes
says "none of apt's sources is a security suite"
not_restarted rainbowdash

row "security: only from security suites, what is on hold stays, and so does the owner's file"
on rainbowdash "$tools"'
for name in apple cart held; do deb "$name" 1.0 old true; done
dpkg --install /srv/old/*.deb > /dev/null
echo "of the owner" > /etc/apple.conf
apt-mark hold held > /dev/null
deb apple 1.1 security true
deb held 1.1 security true
deb cart 1.1 plain true
deb apple 1.2 plain true
index security stable-security
index plain stable'
run 0 reboot rainbowdash --os security -i "$inventory" --yes
restarted rainbowdash
[ "$(versions rainbowdash apple cart held)" = "apple=1.1 installed cart=1.0 installed held=1.0 installed " ]
[ "$(on rainbowdash cat /etc/apple.conf)" = "of the owner" ]
nothing_left rainbowdash

row "a process that holds dpkg's lock is named and waited for; what it leaves half configured is finished"
on rainbowdash "$tools"'
deb slow 1.0 slow "[ -e /srv/go-on ] || { until [ -e /srv/end ]; do sleep 0.2; done; exit 1; }"
(setsid dpkg --install /srv/slow/slow_1.0.deb > /dev/null 2>&1 < /dev/null &)
until dpkg-query --show --showformat "\${db:Status-Status}" slow 2> /dev/null | grep -q half-configured; do sleep 0.2; done'
remember_start rainbowdash
begin reboot rainbowdash --os all -i "$inventory" --yes
holder=dpkg
comes_to_say "$holder (process"
on rainbowdash 'touch /srv/end; until [ "$(pgrep -x dpkg)" = "" ]; do sleep 0.2; done; touch /srv/go-on'
ends 0
half=slow
says "dpkg to configure $half after an interrupted installation"
restarted rainbowdash
[ "$(versions rainbowdash apple cart held slow)" = "apple=1.2 installed cart=1.1 installed held=1.0 installed slow=1.0 installed " ]
nothing_left rainbowdash

row "without names: nothing is to be upgraded, so no machine is rebooted"
for machine in twilightsparkle rainbowdash; do remember_start "$machine"; done
run 0 reboot --os all -i "$inventory" --yes
for machine in twilightsparkle rainbowdash; do
    not_restarted "$machine"
    nothing_left "$machine"
done

row "killed while apt upgrades, the same command waits for it, and goes on"
on rainbowdash "$tools"'
rm /srv/go-on /srv/end
deb cart 1.2 plain "until [ -e /srv/go-on ]; do sleep 0.2; done"
index plain stable'
begin reboot rainbowdash --os all -i "$inventory" --yes
comes_to_say "apt to upgrade 1 package"
kill -9 "$begun"
wait "$begun" 2> /dev/null || true
begin reboot rainbowdash --os all -i "$inventory" --yes
comes_to_say "rainbowdash/upgrade-packages of an interrupted run"
on rainbowdash touch /srv/go-on
ends 0
restarted rainbowdash
[ "$(versions rainbowdash cart)" = "cart=1.2 installed " ]
nothing_left rainbowdash

row "the power goes in the middle of an installation: the same command finishes it, and reboots the machine"
on rainbowdash "$tools"'
rm /srv/go-on
deb cart 1.3 plain "until [ -e /srv/go-on ]; do sleep 0.2; done"
index plain stable'
begin reboot rainbowdash --os all -i "$inventory" --yes
comes_to_say "apt to upgrade 1 package"
half_configured() { versions rainbowdash cart | grep -q half-configured; }
wait_for 60 "the package to be half configured" half_configured
kill -9 "$begun"
wait "$begun" 2> /dev/null || true
on rainbowdash sync
"$hostler" lab cut rainbowdash > /dev/null 2>&1
"$hostler" lab on rainbowdash > /dev/null 2>&1
# Its node is still cordoned.
is_back() { kubectl get node rainbowdash --no-headers 2> /dev/null | awk '{ print $2 }' | grep -q '^Ready'; }
wait_for 180 "rainbowdash to be back" is_back
on rainbowdash touch /srv/go-on
remember_start rainbowdash
run 0 reboot rainbowdash --os all -i "$inventory" --yes
says "an upgrade of the packages was interrupted"
half=cart
says "dpkg to configure $half after an interrupted installation"
restarted rainbowdash
[ "$(versions rainbowdash cart)" = "cart=1.3 installed " ]
nothing_left rainbowdash
empty

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
