unit={{ unit | quote }}
# The files may be in place when this is cut: the mark says that what runs does not know them yet.
record {{ mark_of[unit] }} "$run"
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
{% if restart %}
systemctl restart "$unit" || not_started "$unit"
{% endif %}
rm -f {{ path.applied }}/{{ mark_of[unit] }}
