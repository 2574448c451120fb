# kubeadm speaks to the server that a kubeconfig names. The endpoint's name may lead to a control plane that is away just now; that of
# kubeadm's controller-manager.conf is this machine's own.
PATH=/opt/hostler/current/bin:$PATH
admin=$(mktemp /run/hostler/admin.XXXXXX)
trap 'rm -f "$admin"' EXIT
server=$(sed -n 's/^ *server: *//p' /etc/kubernetes/controller-manager.conf)
sed "s|^\( *server:\).*|\1 $server|" /etc/kubernetes/admin.conf > "$admin"
local_kubeadm() { kubeadm --kubeconfig "$admin" "$@"; }
