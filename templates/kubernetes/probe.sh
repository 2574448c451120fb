# One pod a machine; each is ready when it found all others by name and reached them, directly and through a Service. They are made before
# the nodes are Ready, so that each begins as soon as its machine has a network.
# A namespace of this run's own: one that was here before may take its time to go, or be kept by what others broke.
space={{ namespaces.probe }}-$(date +%s)-$$
# Those of runs that were interrupted go with it: their pods would look for each other for ever.
cleanup() { kubectl delete namespaces --selector "{{ kubectl.probe_label }}" --wait=false > /dev/null 2>&1 || :; }
# Of one node alone kubectl makes no list: it has nobody to reach.
registered() {
    addresses=$(kubectl get nodes {{ nodes | words }} --output \
        'jsonpath={range .items[*]}{.metadata.name}{range .status.addresses[*]} {.type} {.address}{end}{"\n"}{end}')
}
await 60 "nodes to register" registered
trap 'status=$?; cleanup; lost "$status"' EXIT
head -c {{ manifest.size }} | sed "s/{{ namespaces.probe }}/$space/g" | kubectl {{ kubectl.apply }} > /dev/null

# not_ready: why nodes are not Ready, in kubelet's words and by the newest warning about a pod there.
not_ready() {
    events=$(kubectl get events --all-namespaces --field-selector type=Warning --sort-by .lastTimestamp \
        --output 'jsonpath={range .items[*]}{.source.host}{"\t"}{.involvedObject.name}{": "}{.message}{"\n"}{end}' || :)
    for node in {{ nodes | words }}; do
        kubectl get node "$node" --output 'jsonpath={range .status.conditions[*]}{.type} {.status} {.message}{"\n"}{end}' | while read -r kind status message; do
            case $kind/$status in
            Ready/True) continue ;;
            Ready/*) ;;
            *) continue ;;
            esac
            warned=$(printf '%s\n' "$events" | awk -F '\t' -v node="$node" '$1 == node { last = $2 } END { print substr(last, 1, 300) }')
            printf 'node %s is not Ready: %s%s\n' "$node" "${message:-kubelet has not reported yet}" "${warned:+; its newest warning: $warned}"
        done
    done
}
{% include "kubernetes/forbidden.sh" %}
{% include "step/silent.sh" %}
# From here, as the API server has connections that it opened before. A kubelet that is just starting refuses. All at once: each that is
# silent takes its time.
shut() {
    printf '%s\n' "$addresses" | nodes="{{ nodes | join(" ") }}" awk '
        index(" " ENVIRON["nodes"] " ", " " $1 " ") { for (i = 2; i < NF; i++) if ($i == "InternalIP") { print $1, $(i + 1); break } }' | {
        while read -r node address; do (! silent "$address" {{ port.kubelet }} > /dev/null || printf ' %s' "$node") & done
        wait
    }
}
# Beside that it waits for the nodes. It watches: to ask again and again costs a machine that has more to do.
shut | {
    announce 300 "nodes to be Ready"
    ready_until=$(($(date +%s) + 300))
    until kubectl wait node {{ nodes | words }} --for condition=Ready --timeout 30s > /dev/null 2>&1; do
        [ "$(date +%s)" -lt "$ready_until" ] || fail "$(not_ready)"
        sleep 0.5
    done
    shut=$(cat)
    [ -z "$shut" ] || fail "$(hostname) can't reach kubelet at TCP port {{ port.kubelet }} of$shut: if there is a firewall between the machines, open TCP port {{ port.kubelet }}, and UDP port 8472 for pods"
}

# KIND, NAMESPACE/NAME, a pod's node and why it waits; and of a DaemonSet what `kubectl rollout status` looks at.
objects=$(kubectl get pods,daemonsets.apps --all-namespaces --output \
    'jsonpath={range .items[*]}{.kind}{"\t"}{.metadata.namespace}/{.metadata.name}{"\t"}{.spec.nodeName}{"\t"}{.status.containerStatuses[*].state.waiting.reason}{"\t"}{.metadata.generation}{"\t"}{.status.observedGeneration}{"\t"}{.status.desiredNumberScheduled}{"\t"}{.status.updatedNumberScheduled}{"\t"}{.status.numberAvailable}{"\n"}{end}')
{
    # What made pods of the network or of DNS crash may have been repaired since; kubelet would wait up to five minutes.
    printf '%s\n' "$objects" |
        awk -F '\t' '$1 == "Pod" && $4 ~ /CrashLoopBackOff/ && $2 ~ "^({{ namespaces.flannel }}/|{{ namespaces.system }}/(kube-proxy|coredns)-)" { print $2 }'
{% if spread_dns %}
    # kubeadm's two CoreDNS pods may both have begun on the first machine, and would die with it. One goes, and comes back on another: the
    # Deployment prefers that. The other answers meanwhile.
    printf '%s\n' "$objects" | awk -F '\t' '
        $1 == "Pod" && index($2, "{{ namespaces.system }}/coredns-") == 1 && $3 != "" { count++; last = $2; if (!($3 in seen)) { seen[$3]; machines++ } }
        END { if (count > 1 && machines == 1) print last }'
{% endif %}
} | sort -u | while read -r pod; do
    kubectl --namespace "${pod%/*}" delete pod "${pod#*/}" --wait=false --ignore-not-found > /dev/null
done

# What was set up in the kernel before works on for a while without them. A cluster may have none of its own.
announce 180 "flannel and kube-proxy on all machines"
printf '%s\n' "$objects" | awk -F '\t' '
    $1 == "DaemonSet" && ($2 == "{{ namespaces.flannel }}/kube-flannel-ds" || $2 == "{{ namespaces.system }}/kube-proxy") &&
        ($5 != $6 || $7 != 0 && ($8 != $7 || $9 != $7)) { print $2 }' | while read -r name; do
    kubectl --namespace "${name%/*}" rollout status daemonset "${name#*/}" --timeout 180s > /dev/null 2>&1 && continue
    why=$(forbidden "${name%/*}" "daemonset/${name#*/}") || why=
    [ -z "$why" ] || fail "pods of ${name#*/} can't be created: $why"
    fail "${name#*/} is not running on all machines; \`kubectl --namespace ${name%/*} get pods -o wide\` shows where, and \`kubectl --namespace ${name%/*} logs POD\` why"
done
# unheard: which machines' pods don't reach those of which others, by what the probes say; nothing where that is not what they lack.
unheard() {
    pods=$(kubectl --namespace "$space" get pods --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP}{"\n"}{end}') || return
    kubectl --namespace "$space" logs --selector app=probe --tail 1 --prefix --request-timeout 10s 2> /dev/null | pods=$pods awk '
        BEGIN {
            count = split(ENVIRON["pods"], lines, "\n")
            for (i = 1; i <= count; i++) if (split(lines[i], part, " ") == 3) { of_pod[part[1]] = part[2]; of_address[part[3]] = part[2] }
        }
        {
            split($1, name, "/")
            if (/does not resolve: not within/) print of_pod[name[2]] " from CoreDNS"
            rest = $0
            while (match(rest, /no answer from [0-9a-f.:\[\]]+:8080/)) {
                address = substr(rest, RSTART + 15, RLENGTH - 20)
                gsub(/[\[\]]/, "", address)
                rest = substr(rest, RSTART + RLENGTH)
                if (of_pod[name[2]] != of_address[address]) print of_pod[name[2]] " from " of_address[address]
            }
        }' | sort -u
}
# why_dns: what CoreDNS lacks, where it does not run.
why_dns() {
    why=
    ready=$(kubectl --namespace {{ namespaces.system }} get deployment coredns --output 'jsonpath={.status.readyReplicas}') || ready=
    if [ -z "$ready" ]; then why=$(forbidden {{ namespaces.system }} deployment/coredns) || why=; fi
    if [ -n "$why" ]; then
        printf '%s\n' "$why"
        return
    fi
    kubectl --namespace {{ namespaces.system }} get pods --selector k8s-app=kube-dns --output \
        'jsonpath={range .items[*]}{.metadata.name}{" on "}{.spec.nodeName}{": "}{.status.containerStatuses[0].state.waiting.reason}{"\n"}{end}' |
        grep -v ': $'
}
{% include "network/tunnel.sh" %}
# counters NODE: what went into its end of the tunnel and came out there, by its kubelet.
counters() {
    kubectl --request-timeout 5s get --raw "/api/v1/nodes/$1/proxy/stats/summary" 2> /dev/null | tr -d ' ,"' | awk -F : -v node="$1" '
        $1 == "name" { tunnel = $2 == "flannel.1" }
        tunnel && $1 == "rxBytes" { received = $2 }
        tunnel && $1 == "txBytes" { printf "%s has sent %d bytes into it and received %d", node, $2, received; exit }'
}
# cut_off: to which machines the tunnel from here does not lead, by a ping of a few seconds, and what both ends have counted.
cut_off() {
    own=$(hostname)
    ends=$(tunnel_silent 5 5)
    [ -z "$ends" ] || kubectl get nodes --output 'jsonpath={range .items[*]}{.spec.podCIDR}{" "}{.metadata.name}{"\n"}{end}' | while read -r subnet node; do
        if printf '%s\n' "$ends" | grep -qxF "${subnet%/*}"; then
            printf '%s gets no answer from %s through flannel.1: %s, %s;' "$own" "$node" "$(counters "$own")" "$(counters "$node")"
        fi
    done
}
announce 240 "CoreDNS and the pods of all machines to answer each other"
probe_until=$(($(date +%s) + 240))
before=
same=0
# When the API server last did not answer: flannel asks it again only after a while, and a tunnel that is silent until then says nothing.
absent=0
until kubectl --namespace "$space" rollout status daemonset probe --timeout 10s > /dev/null 2>&1; do
    kubectl get --raw /readyz > /dev/null 2>&1 || absent=$(date +%s)
    now=$(unheard) || now=
    # All run, and the same ones have not heard from each other for half a minute, or the tunnel between them is silent: that is no slow start.
    running=$(kubectl --namespace "$space" get pods --field-selector status.phase=Running --output name | grep -c .) || running=0
    if [ -n "$now" ] && [ "$now" = "$before" ] && [ "$running" = {{ nodes | length }} ] && [ $(($(date +%s) - absent)) -ge 60 ]; then
        same=$((same + 1))
        cut=$(cut_off)
        if [ -n "$cut" ] || [ "$same" -ge 3 ]; then
            dns=$(why_dns) || dns=
            [ -z "$dns" ] || fail "CoreDNS is not running: $(printf '%s' "$dns" | tr '\n' ';')"
            dns=$(kubectl --namespace {{ namespaces.system }} get pods --selector k8s-app=kube-dns --output 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort -u | tr '\n' ' ')
            now=$(printf '%s' "$now" | sed "s/ CoreDNS$/ CoreDNS, which runs on ${dns% }/")
            fail "pods can't reach each other: $(printf '%s' "$now" | sed 's/ from / gets no answer from /' | tr '\n' ';'): ${cut:+$cut }if there is a firewall between the machines, open UDP port 8472 for flannel's tunnel"
        fi
    else
        same=0
    fi
    before=$now
    [ "$(date +%s)" -ge "$probe_until" ] || continue
    dns=$(why_dns) || dns=
    [ -z "$dns" ] || fail "CoreDNS is not running: $(printf '%s' "$dns" | tr '\n' ';')"
    said=$(kubectl --namespace "$space" logs --selector app=probe --tail 1 --prefix --request-timeout 10s 2>&1 | cut -c 1-300 | tr '\n' ';') || :
    why=$(forbidden "$space" daemonset/probe) || why=
    [ -z "$why" ] || fail "probe pods can't be created: $why"
    fail "the probe pods could not reach each other within 4 minutes: $said"
done
