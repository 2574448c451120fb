# Manifests as kubeadm wrote them: what anyone changes in them later is noticed.
set -- {{ static_pods | words }}
for name; do
{% if kept is defined %}
    ! cmp -s "{{ kept }}/$name.yaml" "{{ path.manifests }}/$name.yaml" || continue
{% endif %}
    [ ! -e "{{ path.manifests }}/$name.yaml" ] ||
        record "{{ recorded.manifest }}$name" "$(sha256sum < "{{ path.manifests }}/$name.yaml" | cut -d ' ' -f 1)"
done
