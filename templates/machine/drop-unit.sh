unit={{ unit | quote }}
# An earlier run may have been interrupted when the unit's file was gone, and systemd still knew the unit: then it can't be disabled, and is.
systemctl disable --quiet --no-reload "$unit" 2> /dev/null || [ ! -e "/etc/systemd/system/$unit" ] || fail "$unit can't be disabled"
systemctl stop "$unit" 2> /dev/null || ! systemctl is-active --quiet "$unit" || fail "$unit does not stop"
{% for file in files %}
rm -f {{ file | quote }}
{% endfor %}
systemctl daemon-reload
