# tunnel_silent COUNT SECONDS: the other machines' ends of flannel's tunnel that answer no ping, asked all at once.
tunnel_silent() {
    command -v ping > /dev/null || return 0
    for device in flannel.1 flannel-v6.1; do
        [ -e "/sys/class/net/$device" ] || continue
        ip route show dev "$device"
        ip -6 route show dev "$device"
    done | {
        while read -r _ via end _; do
            [ "$via" != via ] || ping -q -n -c "$1" -i 0.3 -w "$2" "$end" > /dev/null 2>&1 || echo "$end" &
        done
        wait
    }
}
