# Archives behind each other are unpacked one after the other (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel): here a file
# of the initrd is appended. entry NAME [FILE]
entry() {
    size=0
    [ -z "${2:-}" ] || size=$(stat -c %s "$2")
    # With the NUL behind it.
    length=$(printf '%s\0' "$1" | wc -c)
    # Inode, mode (a file that its owner may read and write), owner, group, links, time, size, devices, length of the name, checksum.
    printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' 0 33152 0 0 1 0 "$size" 0 0 0 0 "$length" 0 "$1"
    head -c "$(((4 - (110 + length) % 4) % 4))" /dev/zero
    [ -z "${2:-}" ] || cat "$2"
    head -c "$(((4 - size % 4) % 4))" /dev/zero
}
# append_order FOLDER: the order that came with the payload, and the machine's own key, become files of the initrd there.
append_order() {
    {
        entry {{ order_file | quote }} "$1/order.json"
{% if host_key %}
        # The private host key is for the new system, and leaves this machine no more than the old system does.
        entry {{ installer.host_key }} "$key"
{% endif %}
        entry 'TRAILER!!!'
    } >> "$1/initrd"
    rm -f "$1/order.json"
}
