# Of facts.sh: where folders really are, and files with their sums.

# Where the folders of a cluster and what the user keeps really are: a link may lead from the one to the other.
about_places() {
    set -f
    IFS=$newline
    for path in $keep; do
        # It may be on a server that does not answer.
        real=$(timeout -s KILL 2 readlink -m -- "$path" < /dev/null) || continue
        [ "$real" = "$path" ] || printf 'resolved\t%s\t%s\n' "$path" "$real"
    done
    unset IFS
    set +f
    set -- {{ wipe.all | words }}
    reals=$(readlink -m -- "$@" | for path; do
        IFS= read -r real
        [ "$real" = "$path" ] || printf '%s\t%s\n' "$path" "$real"
    done)
    [ -n "$reals" ] || return 0
    printf '%s\n' "$reals" | while IFS= read -r pair; do printf 'resolved\t%s\n' "$pair"; done
    reals=$reals awk '
        BEGIN {
            OFS = "\t"
            count = split(ENVIRON["reals"], pairs, "\n")
            for (i = 1; i <= count; i++) {
                split(pairs[i], pair, "\t")
                paths[i] = pair[1]
                reals[i] = pair[2]
            }
        }
        {
            for (i = 1; i <= count; i++) {
                below = substr($2, length(reals[i]) + 1)
                of_pods = paths[i] == "{{ path.kubelet }}" && below ~ "^/(pods|plugins)/"
                if (index($2 "/", reals[i] "/") == 1 && !of_pods) print "mount", $2
            }
        }' /proc/mounts
}

about_files() {
    set -f
    IFS=$newline
    # shellcheck disable=SC2086 # a path a line
    set -- $files
    unset IFS
    set +f
    for set in {{ path.sets }}/*; do
        case $set in *.hostler-new | *.hostler-old) continue ;; esac
        [ -d "$set/bin" ] && say set "${set##*/}"
    done
    # Programs of the set in use and fragments of configuration may be others than the inventory and the bundle name.
    for file in {{ path.containerd_fragments }}/*.toml {{ path.kubelet_config_dir }}/*.conf {{ systemd.kubelet_file }}.d/*.conf \
        {{ systemd.containerd_file }}.d/*.conf {{ path.bin }}/* {{ path.cni_bin }}/*; do
        [ -f "$file" ] && set -- "$@" "$file"
    done
    # What the step that sent the programs verified is not hashed again while inode, size and times are as they were: 300 MB.
    # The record names files of the store, of which the programs are hard links. %f is the mode in hex; 8... are regular files.
    stated=$(
        stat -L -c "%i %s %.9Y %.9Z$tab%f$tab%a$tab%U:%G$tab%n" -- "$@" 2> /dev/null | awk '
            BEGIN {
                FS = OFS = "\t"
                while ((getline record < "{{ path.verified }}") > 0) {
                    split(record, part, " ")
                    verified[part[2] " " part[3] " " part[4] " " part[5]] = part[1]
                }
            }
            $2 ~ /^8/ {
                known = index($5, "{{ path.root }}/") == 1 ? verified[$1] : ""
                print "file", $5, $3, $4, known
                if (known == "") unknown = unknown "\n" $5
            }
            END { printf "sums of%s\n", unknown }'
    )
    printf '%s' "${stated%sums of*}"
    set -f
    IFS=$newline
    # shellcheck disable=SC2086 # a path a line
    set -- ${stated##*sums of}
    unset IFS
    set +f
    [ $# = 0 ] || sha256sum -- "$@" 2> /dev/null | awk '/^[0-9a-f]/ { print "sha256\t" substr($0, 67) "\t" $1 }'
}
