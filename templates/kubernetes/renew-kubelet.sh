PATH={{ path.bin }}:$PATH
KUBECONFIG={{ path.kubelet_kubeconfig }}
export KUBECONFIG
flags={{ path.kubelet_flags }}
recorded={{ path.applied }}/{{ recorded.kubelet_flags }}
# kubeadm's line, over whatever someone else made of it.
if [ -e "$recorded" ] && ! cmp -s "$recorded" "$flags"; then
    cp "$recorded" "$flags.hostler-new"
    chmod 644 "$flags.hostler-new"
    mv -f "$flags.hostler-new" "$flags"
fi
# kubelet refuses to start with what it noted of CPUs and memory under other settings. As they were: also those before an interrupted run.
managers() { awk '/^[^ -]/ { on = /^(cpuManager|memoryManager|topologyManager|reserved|kubeReserved|systemReserved|evictionHard)/ } on' {{ path.kubelet_config }}; }
before={{ path.kubelet_config }}.hostler-before
if [ ! -e "$before" ] && [ -e {{ path.kubelet_config }} ]; then
    managers > "$before.hostler-new"
    mv -f "$before.hostler-new" "$before"
fi
kubeadm upgrade node phase kubelet-config > /dev/null || {
    renewed=$?
    # What kubeadm said is passed on. Where the API server answers, waiting for it mends nothing: a full disk, for one.
    kubectl --request-timeout 10s get --raw /readyz > /dev/null 2>&1 || temporary "the API server to answer"
    exit "$renewed"
}
if [ -e "$before" ] && [ "$(managers)" != "$(cat "$before")" ]; then
    systemctl stop kubelet
    rm -f {{ path.kubelet }}/cpu_manager_state {{ path.kubelet }}/memory_manager_state
fi
systemctl restart kubelet
# A unit that is active may fail a second later: what counts is what kubelet says of itself.
await 90 "kubelet to be healthy" kubectl --server http://127.0.0.1:{{ port.kubelet_health }} get --raw /healthz
# Of the time when kubelet signed its serving certificate itself.
rm -f {{ path.kubelet_pki }}/kubelet.crt {{ path.kubelet_pki }}/kubelet.key
record {{ recorded.kubelet }} {{ sha256 }}
# Another version of kubeadm may have changed it in its turn.
[ ! -e "$recorded" ] || cmp -s "$recorded" "$flags" || record {{ recorded.kubelet_flags }} "$(cat "$flags")"
rm -f "$before"
record {{ recorded.kubelet_file }} "$(sha256sum < {{ path.kubelet_config }} | cut -d ' ' -f 1)"
