# One pod a machine; each is ready when it found all others by name and reached them, directly and through a Service.
cleanup() { kubectl delete namespace hostler-probe --ignore-not-found --wait=false > /dev/null 2>&1 || true; }
await 120 "the probe of an earlier run to go" sh -c '! "$@"' sh /opt/hostler/current/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf get namespace hostler-probe
head -c {{ manifest.size }} | kubectl apply --server-side --force-conflicts --field-manager hostler --filename - > /dev/null
trap cleanup EXIT
printf '@waiting 240 CoreDNS and the pods of all machines to answer each other\n'
if ! kubectl --namespace hostler-probe rollout status daemonset probe --timeout 240s > /dev/null 2>&1; then
    kubectl --namespace hostler-probe get pods --output wide >&2
    kubectl --namespace hostler-probe logs --selector app=probe --tail 3 --prefix >&2 || true
    kubectl --namespace kube-system get pods --selector k8s-app=kube-dns --output wide >&2
    fail "the probe pods did not find each other within 4 minutes"
fi
