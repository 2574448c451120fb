unit={{ unit | quote }}
# The files may be in place when this is cut: the mark says that what runs does not know them yet.
record "${unit%.service}-begun" "$run"
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
rm -f "/etc/hostler/applied/${unit%.service}-begun"
