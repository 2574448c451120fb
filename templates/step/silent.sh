# silent HOST PORT: whether nobody answers there, and why. Who refuses answers; a firewall says nothing. It takes a thousandth of the work that
# a client of the API takes to start, and can't mistake what a server says for silence.
silent() {
    silent_status=0
    # shellcheck disable=SC2016 # bash's words, not this shell's
    silent_why=$(LC_ALL=C timeout 5 bash -c 'exec 3<> "/dev/tcp/$0/$1"' "$1" "$2" 2>&1) || silent_status=$?
    case $silent_status/$silent_why in
    124/*) echo "no answer within 5 s" ;;
    *'timed out' | *'unreachable' | *'No route to host' | *'not known' | *'name resolution') printf '%s\n' "${silent_why##*: }" ;;
    *) return 1 ;;
    esac
}
