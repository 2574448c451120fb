{% if addresses %}
# Only administrators write there. What a node says of its own addresses decides nothing.
remember {{ addresses | words }}
{% endif %}
{% if nodes %}
announce {{ seconds }} "kubelets to have their serving certificates"
{{ path.bin }}/hostler approve-kubelets --within {{ seconds }} {{ nodes | words }}
{% endif %}
