unit={{ unit | quote }}
# The files may be in place when this is cut: the mark says that what runs does not know them yet.
record {{ mark_of[unit] }} "$run"
{% if unit == systemd.containerd and restart %}
# Files as they were: they come back where containerd does not work with the new ones. Then this machine goes on as before, and no other follows.
mkdir -p {{ path.work }}
# Of a run that was cut off: it may hold passwords of registries.
rm -rf {{ path.work }}/unit.??????
kept=$(mktemp -d {{ path.work }}/unit.XXXXXX)
trap 'rm -rf "$kept"' EXIT
{% for file in files %}
[ ! -e {{ file.path | quote }} ] || cp -p {{ file.path | quote }} "$kept/{{ loop.index }}"
{% endfor %}
{% for file in stale %}
[ ! -e {{ file | quote }} ] || cp -p {{ file | quote }} "$kept/stale-{{ loop.index }}"
{% endfor %}
works() { {{ path.bin }}/crictl --timeout 5s --runtime-endpoint unix://{{ path.containerd_socket }} info > /dev/null 2>&1; }
worked=
! works || worked=yes
{% endif %}
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
{% if unit == systemd.containerd and restart %}
began=$(date +%s)
systemctl restart "$unit" || :
# It may run without the part that kubelet speaks to.
if ! (await 60 "containerd to serve kubelet" works); then
    why=$(journalctl -u "$unit" --since "@$began" --no-pager -o cat | grep -E 'level=(error|fatal)|failed to|containerd: ' | grep -v 'skip loading' | tail -n 2 | tr '\n' ' ')
    # back COPY FILE
    back() {
        [ -e "$kept/$1" ] || {
            rm -f "$2"
            return
        }
        cp -p "$kept/$1" "$2.hostler-new"
        mv -f "$2.hostler-new" "$2"
    }
    : "${why:=it does not serve kubelet}"
    [ -z "$worked" ] || {
{% for file in files %}
        back {{ loop.index }} {{ file.path | quote }}
{% endfor %}
{% for file in stale %}
        back stale-{{ loop.index }} {{ file | quote }}
{% endfor %}
        systemctl daemon-reload
        systemctl restart "$unit" || :
        (await 60 "containerd to serve kubelet as before" works) || :
        fail "containerd does not work with its new configuration, so the previous one is back: $why"
    }
    fail "containerd does not work: $why"
fi
{% elif restart %}
systemctl restart "$unit" || not_started "$unit"
{% endif %}
rm -f {{ path.applied }}/{{ mark_of[unit] }}
