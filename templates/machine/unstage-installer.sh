# entries: numbers of the firmware's entries that are hostler's for an installer.
entries() { efibootmgr 2> /dev/null | sed -n 's/^Boot\([0-9A-F]\{4\}\)[* ] {{ installer.entry }}\([^-A-Za-z0-9].*\)*$/\1/p'; }
# unstage: what an interrupted run left goes, in memory and, where $esp is set, on the EFI system partition.
unstage() {
    systemctl stop hostler-installer.timer 2> /dev/null || :
    while mountpoint -q {{ path.installer }}; do umount {{ path.installer }}; done
    [ -n "${esp:-}" ] || return 0
    # The entries first: one without its files would be an error on the screen.
    for entry in $(entries); do efibootmgr --quiet --delete-bootnum --bootnum "$entry" > /dev/null || :; done
    rm -rf "$esp/{{ installer.esp_folder }}"
    if grep -qsF '{{ installer.memory }}' "$esp/{{ installer.esp_config }}"; then
        rm -f "$esp/{{ installer.esp_config }}"
        (cd "$esp" && rmdir -p "$(dirname {{ installer.esp_config }})" 2> /dev/null) || :
    fi
}
