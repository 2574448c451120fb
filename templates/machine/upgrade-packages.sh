command -v apt-get > /dev/null || fail "apt-get is not installed: upgrade this machine's packages by hand"

{% include "machine/apt.sh" %}

# The machine is rebooted afterwards: nobody needs to be asked which services to restart, and files that its owner has changed stay as they are.
export NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1

# From here on the machine may be half upgraded: a reboot of that is not the end of it.
begin() {
    record {{ mark.packages }} "$run"
    # In memory: gone with the reboot that it asks for.
    : > {{ path.packages_upgraded }}
}
busy
[ -z "$(dpkg --audit)" ] || begin
configure_rest
{% if packages %}
# What is not needed may be broken in an installation, not here: without a source, old packages would count as current.
get "$said/update" 300 update -o APT::Update::Error-Mode=any || { busy; cat "$said/update" >&2; fail "apt can't read all of its sources: $(cause)"; }
{% if packages == "security" %}
is_security='release .*(a=[^,]*-security|l=Debian-Security)'
apt-cache policy | grep -Eq "$is_security" || fail "none of apt's sources is a security suite, such as $(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)-security: add it to /etc/apt/sources.list.d, or pass --os all"
# The first pin of a source counts: what other suites have is less than what is installed, but can be had where a security update needs it. The
# owner's pins of single packages stay.
pins=$said/preferences.d
mkdir "$pins"
cp /etc/apt/preferences "$pins/owner" 2> /dev/null || :
cp /etc/apt/preferences.d/* "$pins" 2> /dev/null || :
printf 'Package: *\nPin: release %s\nPin-Priority: %s\n\n' 'a=now' 100 'a=*-security' 500 'l=Debian-Security' 500 'a=*' 50 > "$pins/0000-hostler"
chmod -R a+rX "$said"
set -- -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$pins"
{% else %}
set --
{% endif %}
# Nothing is removed, and what is on hold stays. A new kernel is a new package.
set -- "$@" -o APT::Get::AutomaticRemove=false -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --with-new-pkgs upgrade
get "$said/plan" 120 --simulate "$@" || { busy; cat "$said/plan" >&2; fail "apt can't plan the upgrade: $(grep -a '^E:' "$said/plan" | head -n 1)"; }
count=$(grep -ac '^Inst ' "$said/plan") || :
grep -a '^Inst ' "$said/plan" || echo "nothing to upgrade"
if [ "$count" -gt 0 ]; then
    packages=packages
    [ "$count" != 1 ] || packages=package
    announce 1800 "apt to fetch $count $packages"
    get "$said/fetch" 1800 --download-only "$@" || { busy; cat "$said/fetch" >&2; fail "apt can't fetch the upgrades: $(cause)"; }
    begin
    announce 3000 "apt to upgrade $count $packages"
    # No limit: dpkg is not to be cut.
    run_apt() { apt-get -y -qq -o DPkg::Lock::Timeout=30 "$@" < /dev/null; }
    aloud run_apt "$@" || { busy; fail "apt can't upgrade the packages"; }
fi
{% endif %}
rm -f {{ path.applied }}/{{ mark.packages }}
