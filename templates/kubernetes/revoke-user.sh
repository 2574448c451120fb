# Takes a person's access away: their certificate stays valid, and allows nothing. Nobody by that name: who has access instead.
set -eu
export KUBECACHEDIR={{ path.kubectl_cache }}
api() { {{ path.bin }}/kubectl {{ kubectl.own }} --request-timeout 20s "$@"; }
if [ -n "$(api get clusterrolebinding {{ user | quote }} --ignore-not-found --output name)" ]; then
    api delete clusterrolebinding {{ user | quote }} > /dev/null
    echo revoked
else
    api get clusterrolebindings --selector app.kubernetes.io/managed-by=hostler,hostler/person \
        --output 'jsonpath={range .items[*]}{.metadata.labels.hostler/person}{"\n"}{end}'
fi
