unit={{ unit | quote }}
{% for file in files %}
take {{ file.path | quote }} {{ file.mode }} {{ file.size }} {{ file.sha256 }}
{% endfor %}
{% for path in stale %}
rm -f {{ path | quote }}
{% endfor %}
systemctl daemon-reload
systemctl enable --quiet "$unit"
{% if restart %}
systemctl restart "$unit" || fail "$unit does not start: $(journalctl -u "$unit" -n 5 --no-pager -o cat | tr '\n' ' ')"
{% endif %}
