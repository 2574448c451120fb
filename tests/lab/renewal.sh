#!/bin/bash
# renewal.sh HOSTLER: certificates that expire soon are renewed by `up` and by the machine itself, and the API is never away, on the lab's real
# machines, as root. As rows.sh says.
# shellcheck disable=SC2016 # what is in single quotes is for machines
set -euo pipefail
hostler=$(realpath "$1")
lab=renewal
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

row "a control plane and a worker"
run 0 lab up --machines 2
ready 2

row "certificates that expire within 90 days are renewed by up, and the API is never away"
short='
    export PATH=/opt/hostler/current/bin:$PATH KUBECONFIG=/etc/kubernetes/admin.conf
    kubectl -n kube-system get configmap kubeadm-config -o "jsonpath={.data.ClusterConfiguration}" | sed "/^certificateValidityPeriod/d" > /root/short.yaml
    printf "certificateValidityPeriod: 720h\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistration: {name: twilightsparkle}\n" >> /root/short.yaml
    kubeadm certs renew all --config /root/short.yaml > /dev/null
'
on twilightsparkle "$short"
run 1 status -i "$inventory"
grep -Eq "expires in (29|30) days" "$work/out"
says 'hostler up'
poll https://10.77.0.11:6443/livez
up
says "certificates expire soon, the first"
answered 3
run 0 status -i "$inventory"
says "in 364 days"
empty

renewal() { on twilightsparkle 'systemctl start hostler-renewal && journalctl -u hostler-renewal -o cat --since -2min | tail -n 3'; }
row "the machine renews them by itself, and the API is never away"
on twilightsparkle "$short"
run 1 status -i "$inventory"
poll https://10.77.0.11:6443/livez
renewal | grep '^renewed .*apiserver'
answered 3
run 0 status -i "$inventory"
says "in 364 days"
renewal | grep 'nothing to renew: '
empty

row "a renewal that was cut before what holds old certificates was restarted is finished; none runs beside a run of hostler"
on twilightsparkle 'PATH=/opt/hostler/current/bin:$PATH; kubeadm certs renew all > /dev/null'
on twilightsparkle 'flock /run/hostler/steps/other systemctl start hostler-renewal && journalctl -u hostler-renewal -o cat --since -2min' | grep 'hostler is changing this machine'
renewal | grep 'restarted programs that still used old ones'
renewal | grep 'nothing to renew: '
run 0 status -i "$inventory"

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
