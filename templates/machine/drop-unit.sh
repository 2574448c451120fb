unit={{ unit | quote }}
systemctl disable --quiet --now "$unit"
{% for file in files %}
rm -f {{ file | quote }}
{% endfor %}
systemctl daemon-reload
