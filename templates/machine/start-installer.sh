# start_installer: the running system ends, and the installer begins.
start_installer() {
    load
    # What was to remove the installer from memory must not do so now.
    systemctl stop hostler-installer.timer 2> /dev/null || :
    announce 900 "$1"
    systemctl kexec || {
        kexec -s -u
        fail "systemd did not start the installer"
    }
    # The script ends with the system, which may end the sleep first.
    if sleep 900; then
        # The next restart, whoever asks for it, is an ordinary one.
        kexec -s -u || :
    fi
    # shellcheck disable=SC2154 # who includes this sets the folder
    [ ! -e "$folder/id" ] || fail "the machine did not start the installer within 15 minutes"
}
