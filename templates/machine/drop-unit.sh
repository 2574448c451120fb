unit={{ unit | quote }}
systemctl disable --quiet --no-reload --now "$unit"
{% for file in files %}
rm -f {{ file | quote }}
{% endfor %}
systemctl daemon-reload
