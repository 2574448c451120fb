# Whoever else cordoned it finds it cordoned afterwards.
[ "$(kubectl get node "$node" --output 'jsonpath={.spec.unschedulable}')" = true ] ||
    kubectl annotate --overwrite node "$node" "{{ annotation.cordoned }}=$(date -u +%Y-%m-%dT%H:%M:%SZ)" > /dev/null
kubectl cordon "$node" > /dev/null
