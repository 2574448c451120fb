# Written by hostler: takes a snapshot if one is due, and keeps the newest snapshots of this cluster; other files in the folder are left alone.
set -eu
to={{ to | quote }}
cluster={{ cluster | quote }}
machine={{ machine | quote }}
every={{ every }}
keep={{ keep }}
{% include "machine/snapshot-names.sh" %}

(umask 077 && mkdir -p "$to")
# A minute less: the last one was taken some seconds after it was due. One of a time to come is from before a wrong clock was set.
{% if recipients %}
# What is not encrypted is from before there were recipients, and is not copied anywhere.
{% endif %}
[ -z "$(snapshots_in "$to"{% if recipients %} -name '*.age'{% endif %} -mmin "-$((every - 1))" ! -newermt "1 minute")" ] || exit 0
# An upgrade stops etcd for minutes: the next look comes in ten.
for step in {{ path.steps }}/*; do
    [ -e "$step" ] || continue
    flock --nonblock "$step" true || {
        echo "hostler is changing this machine, so the snapshot is taken later"
        exit 0
    }
done
# After a start of the machine, the API server takes a while. What is wrong otherwise, what follows says.
tries=0
until {{ path.bin }}/kubectl {{ kubectl.own }} --request-timeout 5s get --raw /readyz > /dev/null 2>&1 || [ "$tries" = 40 ]; do
    tries=$((tries + 1))
    sleep 5
done
