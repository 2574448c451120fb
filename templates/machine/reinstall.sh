# The running system ends here, and the installer begins. Once the new system answers, this script runs there, too.
root=$(findmnt --noheadings --nofsroot --output SOURCE /)
if [ "$(lsblk --noheadings --nodeps --output PARTLABEL "$root" 2> /dev/null)" = {{ partition | quote }} ]; then
    # shellcheck disable=SC2317 # await calls it
    started() { ! systemctl is-system-running | grep -Eqx 'initializing|starting'; }
    (await 300 "its services to start" started) || :
    exit {{ exit.restarted }}
fi
{% if esp %}
esp={{ esp | quote }}
folder=$esp/{{ installer.esp_folder }}
{% include "machine/unstage-installer.sh" %}
if [ "$(cat "$folder/id" 2> /dev/null)" != {{ id | quote }} ]; then
    unstage
    fail "the old system has started again: the firmware did not find the installer, or the installer failed; if the machine's screen showed an error, fix it, then run the same command again"
fi
# Used: whatever comes of it, this script does not start it again.
rm -f "$folder/id"
sync -f "$folder"
efibootmgr --quiet --bootnext "$(entries)" > /dev/null || fail "the firmware does not accept the boot entry to start next"
announce 900 "the new system to be installed and to answer"
systemctl reboot || {
    efibootmgr --quiet --delete-bootnext > /dev/null
    fail "systemd did not restart the machine"
}
# The script ends with the system, which may end the sleep first.
if sleep 900; then
    # The next restart, whoever asks for it, is an ordinary one.
    efibootmgr --quiet --delete-bootnext > /dev/null || :
fi
[ ! -d /run/systemd/system ] || fail "the machine did not restart within 15 minutes"
{% else %}
folder={{ path.installer }}
[ "$(cat "$folder/id" 2> /dev/null)" = {{ id | quote }} ] ||
    fail "nothing was installed: the old system is running, and the installer is no longer in memory; if the machine's screen showed an error, fix it, then run the same command again"
{% include "machine/load-installer.sh" %}
{% include "machine/start-installer.sh" %}
start_installer "the new system to be installed and to answer"
{% endif %}
