# load: the kernel takes the installer. By kexec_file_load, as with Secure Boot no other call is allowed, and only for a kernel whose signature it knows.
load() {
    # shellcheck disable=SC2154 # who includes this sets the folder
    kexec -s -l "$folder/vmlinuz" --initrd="$folder/initrd" --command-line='{{ installer.console }} {{ installer.memory }}' 2>&1 ||
        fail "the running kernel does not accept the installer: reboot the machine and try again, or use a stick: \`hostler provision\`"
}
