# Who has the VIP, if hostler's service has not put it on this machine. Any packet has the kernel ask for the hardware address, and no firewall
# keeps that from being answered, as it may a ping. An answer from earlier counts only once the kernel has asked again, which it does within
# seconds; in a cluster nobody waits for that, as a control plane that holds the VIP answers pings. A device that answers none is found there only
# right after the kernel has asked. Of several network cards, only the one that leads to the VIP counts.
about_vip() {
    if [ -z "$vip" ] || ! command -v ip > /dev/null; then return 0; fi
    runs=''
    ! systemctl is-active --quiet {{ systemd.vip }} 2> /dev/null || runs=1
    if [ -n "$(ip -oneline address show to "$vip" 2> /dev/null)" ]; then
        [ -n "$runs" ] || [ -e {{ path.keepalived_config }} ] || say vip-answers itself
        return 0
    fi
    waits=''
    if [ -e {{ path.kubelet_kubeconfig }} ]; then waits=1; fi
    if [ -n "$runs" ] && grep -qsFw -- "$vip" {{ path.keepalived_config }}; then waits=1; fi
    device=$(ip route get "$vip" 2> /dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
    answers=''
    if command -v ping > /dev/null; then
        ! ping -q -n -c 1 -w 1 "$vip" > /dev/null 2>&1 || answers=1
    else
        # dash has no way to send anything.
        bash -c 'echo > "/dev/udp/$1/9"' bash "$vip" 2> /dev/null || :
        sleep 1
    fi
    for _ in 1 2 3 4 5 6 7 8; do
        neighbor=$(ip neigh show "$vip" 2> /dev/null | sed -n "/ dev ${device:+$device }/p")
        case "$answers $neighbor" in
        '1 '* | *' lladdr '*REACHABLE*)
            answers=1
            break
            ;;
        *' lladdr '*STALE* | *' lladdr '*DELAY* | *' lladdr '*PROBE*)
            [ -z "$waits" ] || break
            sleep 1
            ;;
        *) break ;;
        esac
    done
    mac=$(printf '%s\n' "$neighbor" | sed -n 's/.* lladdr \([^ ]*\).*/\1/p' | head -n 1)
    if [ -z "$answers" ]; then return 0; fi
    if [ -z "$mac" ]; then
        # Behind a router, where it can't be told from the control plane that holds the VIP.
        [ -n "$waits" ] || say vip-answers
        return 0
    fi
    # shellcheck disable=SC2046 # words
    say vip-answers "$mac" $(ip neigh show 2> /dev/null | awk -v mac="$mac" -v vip="$vip" '$1 != vip && $4 == "lladdr" && $5 == mac { print $1 }')
}
