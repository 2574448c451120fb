boot() {
    boot='' stat=''
    { read -r boot < /proc/sys/kernel/random/boot_id && read -r stat < /proc/1/stat; } 2> /dev/null || :
    # What follows the program's name, of which the 20th word is when it began: proc_pid_stat(5).
    # shellcheck disable=SC2086 # words
    set -- ${stat##*) }
    [ $# -lt 20 ] || boot=$boot-${20}
}
