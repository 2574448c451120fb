unit={{ unit | quote }}
# The files may be in place when this is cut: the mark says that what runs does not know them yet.
record {{ mark_of[unit] }} "$run"
{% for file in files %}
take {{ file.path | quote }} {{ file.mode }} {{ file.size }} {{ file.sha256 }}
{% endfor %}
{% for file in stale %}
rm -f {{ file | quote }}
{% endfor %}
systemctl daemon-reload
systemctl enable --quiet "$unit"
{% if restart %}
systemctl restart "$unit" || not_started "$unit"
{% endif %}
rm -f {{ path.applied }}/{{ mark_of[unit] }}
