{% include "machine/boot.sh" %}

boot
[ -n "$boot" ] || fail "neither the boot ID nor the start time of PID 1 can be read from /proc"
if [ "$boot" = {{ boot | quote }} ]; then
{% if if_upgraded %}
    [ -e {{ path.packages_upgraded }} ] || [ -e /run/reboot-required ] || exit 0
{% endif %}
{% if quorum %}
    # Another one may have gone since the plan was made.
    {{ path.bin }}/etcdctl --endpoints {{ etcdctl.own }} {{ etcdctl.tls }} endpoint health --cluster > /dev/null 2>&1 ||
        fail "not all etcd members are healthy: without this one, etcd could lose its quorum"
{% endif %}
{% if yields_vip %}
    # The endpoint's address goes to another machine first. The unit is enabled: it is back with the machine.
    systemctl stop {{ systemd.vip }}
{% endif %}
    announce 900 "the machine to restart"
    # Not now: a pod may still be ending. logind asks kubelet first, which lets its pods end.
    if ! systemctl reboot; then
{% if yields_vip %}
        systemctl start {{ systemd.vip }}
{% endif %}
        fail "systemd did not restart the machine"
    fi
    # The script ends with the machine, and begins again when that is back.
    sleep 900 || :
    boot
    [ "$boot" != {{ boot | quote }} ] || fail "the machine did not restart within 15 minutes"
fi
booted() { ! systemctl is-system-running | grep -Eqx 'initializing|starting'; }
(await 300 "its services to start" booted) || :
{% if node %}
node={{ node | quote }}
await_containerd
if [ -e {{ path.admin }} ]; then
    await 300 "the API server to answer" {{ path.bin }}/kubectl {{ kubectl.own }} --request-timeout 5s get --raw /readyz
fi
# The word of its kubelet since this start: before, the cluster believes what it said last.
kubelet_reports() {
    since=$(date -d "$(systemctl show -p ExecMainStartTimestamp --value kubelet)" +%s) || return 1
    reported=$({{ path.bin }}/kubectl --kubeconfig {{ path.kubelet_kubeconfig }} --request-timeout 5s get node "$node" \
        --output 'jsonpath={range .status.conditions[*]}{.type} {.status} {.lastHeartbeatTime}{"\n"}{end}' | sed -n 's/^Ready True //p') || return 1
    [ -n "$reported" ] && [ "$(date -d "$reported" +%s)" -ge "$since" ]
}
await 300 "kubelet to report that the node is Ready" kubelet_reports
{% endif %}
