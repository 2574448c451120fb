# The running system ends here, and the installer begins. Once the new system answers, this script runs there, too.
folder={{ path.installer }}
root=$(findmnt --noheadings --nofsroot --output SOURCE /)
if [ "$(lsblk --noheadings --nodeps --output PARTLABEL "$root" 2> /dev/null)" = {{ partition | quote }} ]; then
    # shellcheck disable=SC2317 # await calls it
    started() { ! systemctl is-system-running | grep -Eqx 'initializing|starting'; }
    (await 300 "its services to have started" started) || :
    exit {{ exit.restarted }}
fi
[ "$(cat "$folder/id" 2> /dev/null)" = {{ id | quote }} ] ||
    fail "the installer is no longer in memory, and the system is the old one: if the installer showed a reason on the machine's screen, solve it, then run the same command again"
{% include "machine/load-installer.sh" %}
load
announce 900 "the new system to be installed and to answer"
systemctl kexec || {
    kexec -s -u
    fail "systemd does not start the installer"
}
# The script ends with the system.
sleep 900 || :
[ ! -e "$folder/id" ] || fail "the installer has not been started within 15 minutes"
