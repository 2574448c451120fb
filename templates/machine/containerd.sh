unit={{ unit | quote }}
# The files may be in place when this is cut: the mark says that what runs does not know them yet.
record {{ mark_of[unit] }} "$run"
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
{% include "machine/unit-files.sh" %}
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
rm -f {{ path.applied }}/{{ mark_of[unit] }}
