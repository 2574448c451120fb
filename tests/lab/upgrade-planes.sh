#!/bin/bash
# upgrade-planes.sh HOSTLER [FROM]: three control planes and two workers of FROM (by default 1.35.4) become ones of the newest version, on the lab's
# real machines, as root, while a client asks a Service through all machines, and the API. As rows.sh says. Needs a bundle of FROM in the cache,
# which `tests/bundle HOSTLER FROM` puts there; says NOT RUN where there is none.
set -euo pipefail
hostler=$(realpath "$1")
from=${2:-1.35.4}
to=1.36.3
lab=upgradeplanes
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/lab/rows.sh
. "$here/rows.sh"
needs_bundle "$from"
vip=10.77.0.200
asked=("https://$vip:6443/livez" http://10.77.0.1{1,2,3,4,5}:30080/who)
all_answer() { "$hostler" lab exec -- curl --silent --fail --insecure --max-time 5 "${asked[@]}" > /dev/null; }

row "three control planes and two workers run $from, and a Service of two replicas"
run 0 lab up --machines 5 --control-planes 3 --machines-only
sed -i "s/^cluster:\$/&\n  version: $from/" "$inventory"
up
ready 5
members twilightsparkle 3
web applejack 2 1 10
# What was just applied takes a moment to be everywhere.
wait_for 60 "the Service and the API to answer" all_answer

row "upgraded: no request failed, and the API was never unavailable for more than 5 seconds"
"$hostler" lab exec -- "$here/ask.py" "$work/stop" "${asked[@]}" > "$work/asked" 2>&1 &
asks=$!
run 0 upgrade -i "$inventory" --to "$to" --yes
touch "$work/stop"
wait "$asks"
sed 's/^/          /' "$work/asked"
kubelets "$to"
members twilightsparkle 3
empty
tail -n 1 "$work/asked" | awk '{ exit !($1 > 0 && $3 == 0 && $(NF - 1) <= 5) }'

"$hostler" lab down > /dev/null 2>&1
printf '%d rows passed\n' "$rows"
