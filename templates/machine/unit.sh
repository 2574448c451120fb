unit={{ unit | quote }}
# The files may be in place when this is cut: the mark says that what runs does not know them yet.
record {{ mark_of[unit] }} "$run"
{% include "machine/unit-files.sh" %}
{% if restart %}
systemctl restart "$unit" || not_started "$unit"
{% endif %}
rm -f {{ path.applied }}/{{ mark_of[unit] }}
