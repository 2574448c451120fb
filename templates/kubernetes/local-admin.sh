# kubeadm speaks to the server that a kubeconfig names. The endpoint's name may lead to a control plane that is away just now; that of
# kubeadm's controller-manager.conf is this machine's own.
PATH={{ path.bin }}:$PATH
admin=$(mktemp {{ path.own_admin }}.XXXXXX)
trap 'rm -f "$admin" "$admin.info"' EXIT
server=$(sed -n 's/^ *server: *//p' {{ path.controller_manager }})
sed "s|^\( *server:\).*|\1 $server|" {{ path.admin }} > "$admin"
local_kubeadm() { kubeadm --kubeconfig "$admin" "$@"; }
