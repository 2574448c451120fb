{% for file in others %}
# It is of another program, or of the user: kept once, as it was.
if [ -e {{ file | quote }} ] && [ ! -e {{ (file ~ containerd.before) | quote }} ]; then
    cp -p {{ file | quote }} {{ (file ~ containerd.before ~ ".hostler-new") | quote }}
    mv {{ (file ~ containerd.before ~ ".hostler-new") | quote }} {{ (file ~ containerd.before) | quote }}
fi
{% endfor %}
{% if stale %}
# Before the file that names hostler's own: what it does not name is other people's.
{% endif %}
{% for file in stale %}
rm -f {{ file | quote }}
{% endfor %}
{% for file in files %}
take {{ file.path | quote }} {{ file.mode }} {{ file.size }} {{ file.sha256 }}
{% endfor %}
# Each reload makes systemd start a dozen programs: one is enough.
systemctl enable --quiet --no-reload "$unit"
systemctl daemon-reload
