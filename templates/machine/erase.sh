# The running system ends here, and the installer erases its disk.
folder={{ path.installer }}
[ "$(cat "$folder/id" 2> /dev/null)" = {{ id | quote }} ] ||
    fail "nothing was erased: the installer is no longer in memory; if the machine's screen showed an error, fix it, then run the same command again"
{% include "machine/load-installer.sh" %}
{% include "machine/start-installer.sh" %}
start_installer "the machine to be erased and to power off"
