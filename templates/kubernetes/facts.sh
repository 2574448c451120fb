# What a control plane says of its cluster: a part of facts.sh, with its functions.

# answer KEY COMMAND...: what a program says, errors too, as one line.
answer() {
    printf '%s\t' "$1"
    shift
    "$@" 2>&1 | tr '\n\t' '  '
    echo
}

# An API server whose cache can't follow etcd, for which one unreadable object is enough, waits 3 s before it reads from etcd itself.
api() {
    answer "api-$1" kubectl {{ kubectl.own }} \
        --request-timeout 6s get --raw "$2"
}

# listed KEY ARGUMENTS...: objects, all of them, or only why not: of half a list, which a busy API server may leave, nobody knows what is missing.
# kubectl asks for the list of resources first, and must not keep it: this only reads.
listed() {
    key=$1
    shift
    set -- kubectl {{ kubectl.own }} \
        --request-timeout 6s --cache-dir /dev/null get --output json "$@"
    whole=1
    found=$("$@" 2>&1) || whole=
    case $whole$found in
    1*) ;;
    *'"items"'*) found=$("$@" 2>&1) && whole=1 ;;
    esac
    [ -n "$whole" ] || found=$(printf '%s\n' "$found" | grep -v '^[[:space:]{}]' | tail -n 1)
    answer "api-$key" printf '%s' "$found"
}

# objects KEY NAMESPACE: what the cluster runs of its own.
objects() {
    listed "$1" --namespace "$2" \
        daemonsets.apps,deployments.apps,services,configmaps,serviceaccounts,roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io,pods
}

# Where nobody asks for add-ons, what is on record is enough, at a third of the cost.
about_add_ons() {
{% if add_ons %}
    objects system {{ namespaces.system }}
{% else %}
    # By its path, and not as a name that kubectl first asks for.
    api system /api/v1/namespaces/{{ namespaces.system }}/configmaps
{% endif %}
}
about_flannel() {
{% if add_ons %}
    objects flannel {{ namespaces.flannel }}
{% else %}
    :
{% endif %}
}

# The workload, where the inventory has one.
about_films() {
{% if workload %}
    objects films {{ namespaces.films }}
{% else %}
    :
{% endif %}
}

# Why pods are not created: the objects whose pods they are say it nowhere else.
about_missing_pods() { api events '/api/v1/events?fieldSelector=reason%3DFailedCreate&limit=100'; }

# Those outside of namespaces, by name: there are many others.
cluster_objects() {
    [ -n "$cluster_objects" ] || return 0
    # shellcheck disable=SC2086 # words: no name of an object has a space
    listed cluster --ignore-not-found $cluster_objects
}

# etcd ENDPOINTS LIMIT COMMAND...
etcd() {
    endpoints=$1
    limit=$2
    shift 2
    etcdctl --endpoints "$endpoints" {{ etcdctl.tls }} \
        --dial-timeout "$limit" --command-timeout "$limit" --write-out json "$@"
}

# Each member is asked by itself, all at once. One that is well answers in milliseconds; while a dead one's place is taken by another leader,
# or on a busy machine, that can take seconds, and "not well" must not be said too soon. A dead one takes all the time there is. Where etcd
# does not even list them, nobody is asked.
about_etcd() {
    [ -r {{ path.pki }}/etcd/healthcheck-client.key ] || return 0
    list=$(answer etcd-list etcd {{ etcdctl.own }} 2s member list --consistency=s)
    printf '%s\n' "$list"
    members=$(printf '%s\n' "$list" | grep -o '"clientURLs":\["[^"]*"' | cut -d '"' -f 4 | tr '\n' ,)
    [ -z "$members" ] || answer etcd-health etcd "${members%,}" 4s endpoint health
}

{% if requests %}
# Of the API server's metrics, requests for what a later version does not serve: `requested GROUP/VERSION RESOURCE RELEASE`.
about_requests() {
    { kubectl {{ kubectl.own }} --request-timeout 5s get --raw /metrics 2> /dev/null || printf '\nunread\n'; } |
        sed -n '/^unread$/p; s/^apiserver_requested_deprecated_apis{group="\([^"]*\)",removed_release="\([0-9][^"]*\)",resource="\([^"]*\)",subresource="[^"]*",version="\([^"]*\)"} .*/\1\/\4 \3 \2/p' | awk '$1 == "unread" || ++count <= 20' |
        while read -r api resource release; do
            case $api in
            unread) say requests-unread ;;
            *) say requested "${api#/}" "$resource" "$release" ;;
            esac
        done
}
{% endif %}

{% if kubelet_requests %}
# Of kubelets, for serving certificates. What is decided is gone within an hour, so there are few, unless a machine makes many.
about_kubelet_requests() {
    api kubelet-requests '/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName%3Dkubernetes.io%2Fkubelet-serving&limit=200'
}

{% endif %}
# words PROGRAM LINES: the last of these lines that says what is wrong, without the time that the container runtime puts before it.
words() {
    said=$(grep -aE '"level":"(fatal|panic|error)"|panic:|^([^ ]+ stderr F )?[EF][0-9]{4} |[Ee]rror' | tail -n 1 | sed 's/^[^ ]* std\(err\|out\) F //' |
        tr '\t' ' ' | cut -c 1-600)
    [ -z "$said" ] || say words "$1" "$said"
}

# Why no API server answers, as far as those say it that it needs.
about_silence() {
    for program in etcd kube-apiserver; do
        # shellcheck disable=SC2012 # names of kubelet's have no odd characters
        log=$(ls -t /var/log/pods/{{ namespaces.system }}_"$program"-*/"$program"/*.log 2> /dev/null | head -n 1)
        [ -z "$log" ] || tail -n 50 "$log" | words "$program"
    done
    journalctl -u kubelet -n 50 -o cat --no-pager 2> /dev/null | words kubelet
}

# All ask at once, and each waits in its pipe until those before it were read: side by side, and yet no lines are mixed. An API server tells
# its version without etcd, so each answer is looked at before anybody says that the cluster answers.
about_cluster() {
    api version /version < /dev/null | {
        api nodes /api/v1/nodes < /dev/null | {
            about_add_ons < /dev/null | {
                about_flannel < /dev/null | {
                    about_films < /dev/null | {
                        cluster_objects < /dev/null | {
                            about_etcd < /dev/null
{% if requests %}
                            about_requests < /dev/null
{% endif %}
{% if kubelet_requests %}
                            about_kubelet_requests < /dev/null
{% endif %}
                            cat
                        }
                        cat
                    }
                    cat
                }
                cat
            }
            cat
        }
        cat
    } | awk -F '\t' '
        { print }
        $1 == "api-version" && !/gitVersion/ || ($1 == "api-nodes" || $1 == "api-system" || $1 == "api-flannel") && !/"items"/ || $1 == "etcd-list" && !/"members"/ { down = 1 }
        ($1 == "api-system" || $1 == "api-flannel") && /"(numberUnavailable|unavailableReplicas)": *[1-9]/ { missing = 2 }
        END { exit down ? 1 : missing + 0 }' || case $? in
        1) about_silence ;;
        *) about_missing_pods ;;
        esac
}
