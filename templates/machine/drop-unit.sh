unit={{ unit | quote }}
systemctl disable --quiet --now "$unit"
{% for path in files %}
rm -f {{ path | quote }}
{% endfor %}
systemctl daemon-reload
