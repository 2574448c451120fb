# Has the cluster sign a person's certificate, whose key is on their computer, and gives them access.
set -eu
export KUBECACHEDIR={{ path.kubectl_cache }}
api() { {{ path.bin }}/kubectl {{ kubectl.own }} --request-timeout 20s "$@"; }
request={{ request | quote }}
printf '%s' {{ objects | quote }} | api {{ kubectl.apply }} > /dev/null
api certificate approve "$request" > /dev/null
# The cluster itself deletes the request, an hour after it was approved.
api wait --for 'jsonpath={.status.certificate}' --timeout 15s "certificatesigningrequest/$request" --output 'jsonpath={.status.certificate}'
