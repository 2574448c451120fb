# flanneld, and what tells containerd that pods can begin. Process 1 of flannel's container, with flanneld's arguments. That it is no hook of
# the container's is on purpose: where kubelet ends while a hook runs, nobody runs it again.
trap 'exit 0' TERM
# kube-proxy leads to the API server. What is sent before it does goes astray, and flanneld would end after seconds of waiting for an answer.
tries=0
until nc -w 1 "$KUBERNETES_SERVICE_HOST" "$KUBERNETES_SERVICE_PORT" < /dev/null > /dev/null 2>&1 || [ "$tries" = 50 ]; do
    tries=$((tries + 1))
    sleep 0.2
done
/opt/bin/flanneld "$@" &
flanneld=$!
trap 'kill "$flanneld"; wait "$flanneld" || exit "$?"; exit 0' TERM
# Pods begin on a machine as soon as containerd finds this configuration. The plugin that it names needs subnet.env, which flanneld writes
# when it has the machine's part of the network: a pod that began before would fail, and be tried again only after 10 seconds. So the
# configuration comes then, and whole at once.
until [ -s {{ path.flannel_run }}/subnet.env ]; do
    kill -0 "$flanneld" 2> /dev/null || { wait "$flanneld"; exit 1; }
    sleep 0.2
done
from={{ path.flannel_config }}/cni-conf.json
to={{ path.flannel_cni }}
# Where flanneld was started anew all is there, and containerd need not look at it again.
if ! cmp -s "$from" "$to"; then
    # By this name it is no configuration yet.
    new=${to%/*}/.${to##*/}.hostler-new
    cp -f "$from" "$new"
    mv -f "$new" "$to"
fi
wait "$flanneld"
