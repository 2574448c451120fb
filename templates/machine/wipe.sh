# Back to a machine that kubeadm has never seen. Every path is named here; what a user keeps, or another file system, is not touched.
PATH={{ path.bin }}:$PATH
{% for kept in keep %}
[ -e {{ kept | quote }} ] && printf 'kept: %s\n' {{ kept | quote }}
{% endfor %}
# A link may lead out of these folders, into what is kept: paths are compared as what they lead to, and only to what the plan has shown.
reals=
for path in {{ wipe.all | words }}; do
    real=$(readlink -m -- "$path")
{% for kept in keep %}
    kept=$(readlink -m -- {{ kept | quote }})
    case $real/ in
    "$kept"/*) fail "$path resolves to $real, but $kept must be kept" ;;
    esac
    case $kept/ in
    "$real"/*) fail "$path resolves to $real, but $kept must be kept" ;;
    esac
{% endfor %}
    [ "$path" != "$real" ] || continue
    known=
{% for link in links %}
    [ "$path $real" != {{ (link.path ~ " " ~ link.real) | quote }} ] || known=1
{% endfor %}
    [ -n "$known" ] || fail "$path resolves to $real, which was not in the plan: run the command again"
    reals="$reals$real
"
done
kubelet=$(readlink -m -- {{ path.kubelet }})
mounted=$(reals=$reals kubelet=$kubelet awk '
{% filter indent(4, true) %}{% include "machine/mounts.awk" %}{% endfilter %}

    BEGIN { count = split(ENVIRON["reals"], reals, "\n") - 1 }
    in_the_way($2) { print $2; exit }
    {
        of_pods = index($2, ENVIRON["kubelet"] "/pods/") == 1 || index($2, ENVIRON["kubelet"] "/plugins/") == 1
        for (i = 1; i <= count; i++) if (index($2 "/", reals[i] "/") == 1 && !of_pods) { print $2; exit }
    }
' /proc/mounts)
[ -z "$mounted" ] || fail "$mounted is a mount point and would be wiped: unmount it first"
record {{ mark.wipe }} "$run"
systemctl stop kubelet 2> /dev/null || true
# The endpoint's address is another control plane's from here on, and nobody takes snapshots of what is no more.
for unit in {{ wipe.units | join(" ") }}; do
    systemctl disable --quiet "$unit" 2> /dev/null || true
    systemctl stop "$unit" 2> /dev/null || true
done
# The member was taken out of etcd beforehand, by its ID, through a control plane that stays.
if command -v kubeadm > /dev/null && systemctl is-active --quiet containerd; then
    kubeadm reset --force --skip-phases remove-etcd-member 2>&1
fi
# What a pod mounted must be gone before anything below is deleted.
kubelet=$kubelet awk 'index($2, ENVIRON["kubelet"] "/") == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do umount "$mounted"; done
wiped="{{ wipe.all | reject("in", wipe.emptied) | reject("eq", wipe.last) | join(" ") }}"
for path in $wiped; do
    if [ -L "$path" ] && [ -d "$path/" ]; then
        # The link is the user's, and stays: they put the folder elsewhere.
        find "$path/" -mindepth 1 -maxdepth 1 -exec rm -rf --one-file-system --preserve-root=all {} + ||
            fail "$path can't be emptied: something is mounted below it"
    elif [ -e "$path" ] || [ -L "$path" ]; then
        rm -rf --one-file-system --preserve-root=all "$path" || fail "$path can't be removed completely: something is mounted below it"
    fi
done
{% for folder in wipe.emptied %}
# The folder itself stays: containerd ends when it goes.
rm -f {{ folder }}/*
{% endfor %}
systemctl daemon-reload
for link in cni0 flannel.1; do
    ip link delete "$link" 2> /dev/null || true
done
if command -v nft > /dev/null; then
    nft list tables | while read -r _ family table; do
        case $table in
        kube-proxy | flannel-ipv4 | flannel-ipv6) nft delete table "$family" "$table" ;;
        esac
    done
fi
if command -v iptables-save > /dev/null; then
    for tool in iptables ip6tables; do
        if "$tool-save" 2> /dev/null | grep -q 'KUBE-\|FLANNEL-'; then
            "$tool-save" | grep -v 'KUBE-\|FLANNEL-' | "$tool-restore"
        fi
    done
fi
for path in $wiped; do
    [ ! -e "$path" ] || { [ -L "$path" ] && [ -z "$(ls -A "$path/")" ]; } || fail "$path is still there after the wipe"
done
[ -z "$(ctr --namespace k8s.io tasks ls -q 2> /dev/null)" ] || fail "containers of the old cluster are still running"
# A pod whose network could not be taken down leaves processes behind that containerd has in no list.
for process in /proc/[0-9]*; do
    name=$(cat "$process/comm" 2> /dev/null || true)
    of_pods=
    case $name in
    containerd-shim*) if tr '\0' ' ' 2> /dev/null < "$process/cmdline" | grep -q -- ' -namespace k8s.io '; then of_pods=1; fi ;;
    *) if grep -qs /kubepods "$process/cgroup"; then of_pods=1; fi ;;
    esac
    [ -z "$of_pods" ] || kill -KILL "${process#/proc/}" 2> /dev/null || true
done
# Last, as it holds the mark that this was begun.
rm -rf --one-file-system --preserve-root=all {{ wipe.last }}
