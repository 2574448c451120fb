# What timers have done, and how that ended: a part of facts.sh, with its functions.

# outcome UNIT NAME: whether its last run failed. While it runs, and before it has since the machine was started, nobody knows.
outcome() {
    case " $(systemctl show -p ActiveState -p InactiveEnterTimestampMonotonic -- "$1" 2> /dev/null | tr '\n' ' ') " in
    *" ActiveState=failed "*) say "$2-failed" ;;
    *" InactiveEnterTimestampMonotonic=0 "*) say undecided "$2" ;;
    *" ActiveState=inactive "*) ;;
    *) say undecided "$2" ;;
    esac
}

about_renewal() { [ ! -e {{ systemd.renewal_file }} ] || outcome {{ systemd.renewal }} renewal; }

about_notify() {
    [ -e {{ systemd.notify_file }} ] || return 0
    outcome {{ systemd.notify }} notify
    first {{ path.notify_unsent }} && say notify-unsent "$line"
}

about_snapshots() {
    [ -e {{ path.snapshot_script }} ] || return 0
    say snapshots-since "$(stat -c %Y {{ path.snapshot_script }})"
    outcome {{ systemd.snapshot }} snapshot
    # The folder may be on a server that does not answer.
    # shellcheck disable=SC2016 # the inner shell's
    newest=$(timeout -s KILL 2 sh -c 'ls -t "$1" | grep -E "^$2-[0-9]{8}T[0-9]{6}Z[.]tar[.]gz([.]age)?\$" | while read -r name; do
        # One of a time to come is from before a wrong clock was set.
        time=$(stat -c %Y "$1/$name") && [ "$time" -le "$(($(date +%s) + 60))" ] && echo "$time" && break
    done' sh "$snapshots" "$(sed -n 's/^cluster=//p' {{ path.snapshot_script }} | tr -d "'")" 2> /dev/null)
    [ $? != 137 ] || say snapshots-unread
    [ -z "$newest" ] || say snapshot "$newest"
    [ -e {{ path.snapshot_copy_script }} ] || return 0
    say snapshot-copied "$(stat -c %Y {{ path.snapshot_copied }} 2> /dev/null || echo 0)"
    outcome {{ systemd.snapshot_copy }} snapshot-copy
}
