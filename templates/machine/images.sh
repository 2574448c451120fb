# The payload is one OCI archive. containerd checks every digest while it imports; --local is twice as fast as its transfer service.
PATH={{ path.bin }}:$PATH
await_containerd
ctr --namespace k8s.io images import --local --no-unpack=false - > /dev/null
# Pinned, so that kubelet's garbage collection can't delete what no registry will give back.
{% for image in images %}
ctr --namespace k8s.io images label {{ image.reference | quote }} io.cri-containerd.pinned=pinned > /dev/null
{% endfor %}
found=$(ctr --namespace k8s.io images ls)
{% for image in images %}
printf '%s\n' "$found" | awk -v name={{ image.reference | quote }} '$1 == name' | grep -qF {{ image.digest | quote }} ||
    fail "{{ image.reference }} has the wrong digest after the import: expected {{ image.digest }}"
{% endfor %}
