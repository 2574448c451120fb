# Whether another device answers at the VIP. Any packet has the kernel ask for the hardware address, and no firewall keeps that from being
# answered, as it may a ping. An answer from earlier counts only once the kernel has asked again, which it does within seconds.
about_vip() {
    if [ -z "$vip" ] || ! command -v ip > /dev/null || [ -n "$(ip -oneline address show to "$vip" 2> /dev/null)" ]; then return 0; fi
    # It holds it in turn with other control planes, which know it.
    if grep -qsFw -- "$vip" {{ path.keepalived_config }} && systemctl is-active --quiet {{ systemd.vip }}; then return 0; fi
    answers=''
    if command -v ping > /dev/null; then
        ! ping -q -n -c 1 -w 1 "$vip" > /dev/null 2>&1 || answers=1
    else
        # dash has no way to send anything.
        bash -c 'echo > "/dev/udp/$1/9"' bash "$vip" 2> /dev/null || :
        sleep 1
    fi
    for _ in 1 2 3 4 5 6 7 8; do
        neighbor=$(ip neigh show "$vip" 2> /dev/null)
        case "$answers $neighbor" in
        '1 '* | *' lladdr '*REACHABLE*)
            answers=1
            break
            ;;
        *' lladdr '*STALE* | *' lladdr '*DELAY* | *' lladdr '*PROBE*) sleep 1 ;;
        *) break ;;
        esac
    done
    [ -z "$answers" ] || say vip-answers "$(printf '%s\n' "$neighbor" | sed -n 's/.* lladdr \([^ ]*\).*/\1/p' | head -n 1)"
}
