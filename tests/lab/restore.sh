#!/bin/bash
# restore.sh HOSTLER: the only control plane is lost, on the lab's real machines, as root. As rows.sh says.
# shellcheck disable=SC2016 # backquotes are hostler's own
set -euo pipefail
hostler=$(realpath "$1")
lab=restore
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

# A machine that is blank has another host key.
rebuild() { run "$1" rebuild twilightsparkle -i "$inventory" --yes --host-key "$(host_key twilightsparkle)" "${@:2}"; }
there() { kubectl get configmap "$1" > /dev/null; }
gone() { ! kubectl get configmap "$1" > /dev/null 2>&1 || { echo "configmap $1 is there" >&2; return 1; }; }
ca() { on twilightsparkle sha256sum /etc/kubernetes/pki/ca.crt; }
# What the user sees of a cluster that is well: a worker's pods, too, are told of by their kubelet, and take changes.
well() {
    ready 2
    kubectl run "$1" --image registry.k8s.io/pause:3.10 --restart Never --overrides \
        "'{\"spec\":{\"nodeName\":\"rainbowdash\",\"hostNetwork\":true,\"containers\":[{\"name\":\"a\",\"imagePullPolicy\":\"Never\",\"image\":\"$pause\"}]}}'" > /dev/null
    kubectl wait --for condition=Ready --timeout 60s "pod/$1" > /dev/null
    [ "$(ca)" = "$(cat "$work/ca")" ]
    untouched rainbowdash
    empty
}

row "a cluster of two; up says that there is no snapshot"
run 0 lab up --machines 2
printf 'snapshots: {every: never}\n' >> "$inventory"
up
says "has only one control plane"
remember rainbowdash
ca > "$work/ca"
pause=$(on rainbowdash crictl images -o json | sed -n 's/.*"\([^"]*pause:[0-9.]*\)".*/\1/p' | head -n 1)
[ -n "$pause" ]

row "a snapshot is whole, and its owner's alone; nothing stays on the machine"
kubectl create configmap before > /dev/null
run 0 snapshot create -i "$inventory"
run 0 snapshot list
says "$XDG_DATA_HOME/hostler/snapshots/lab-"
[ "$(stat -c %a "$XDG_DATA_HOME"/hostler/snapshots/lab-*.tar.gz)" = 600 ]
tar -tzf "$XDG_DATA_HOME"/hostler/snapshots/lab-*.tar.gz > "$work/list"
for file in etcd.db pki/ca.key pki/sa.key pki/front-proxy-ca.key pki/etcd/ca.key kubeadm-config.yaml kubelet-config.yaml nodes inventory.yaml; do
    grep -qx "$file" "$work/list"
done
[ -z "$(on twilightsparkle ls /var/lib/hostler)" ]
empty
says_not "there is no snapshot"

row "an encrypted one is nobody's without its passphrase, and age opens it, too"
printf 'a pass phrase of ponies\n' > "$work/passphrase"
sealed=$work/sealed.tar.gz.age
run 0 snapshot create "$sealed" -i "$inventory" --passphrase-file "$work/passphrase"
says "encrypted: keep the passphrase in another"
run 0 snapshot verify "$sealed" --passphrase-file "$work/passphrase"
says "is valid: taken"
[ "$(head -n 1 "$sealed")" = age-encryption.org/v1 ]
[ "$(stat -c %a "$sealed")" = 600 ]
says_not "a pass phrase of ponies"
# age asks on a terminal, whatever its input is.
script --quiet --return --command "age --decrypt --output $work/opened.tar.gz $sealed" /dev/null < "$work/passphrase" > "$work/out"
tar -tzf "$work/opened.tar.gz" | diff "$work/list" -
rm "$work/opened.tar.gz"

row "a cluster that lives is not restored, and a worker is not either"
rebuild 3 --from
says "the API server answers, so the cluster's current state would be lost"
run 3 rebuild rainbowdash -i "$inventory" --yes --from
there before
rebuild 3 --new-cluster --yes-new-cluster lab
untouched rainbowdash

row "the control plane is blank: it comes back from the newest snapshot, and the worker is not touched"
kubectl create configmap after > /dev/null
run 0 lab blank twilightsparkle
rebuild 0 --from
there before
gone after
well first

row "the same from the encrypted one, cut with -9 in the restore: run again, it comes back"
run 0 lab blank twilightsparkle
rebuild 2 --from "$sealed"
says "a question must be answered, but there is no terminal"
"$hostler" rebuild twilightsparkle -i "$inventory" --yes --host-key "$(host_key twilightsparkle)" --from "$sealed" --passphrase-file "$work/passphrase" > "$work/out" 2>&1 < /dev/null &
pid=$!
until on twilightsparkle test -e /etc/hostler/applied/restore-begun 2> /dev/null; do
    kill -0 "$pid" || { echo "it ended before it was cut" >&2; exit 1; }
done
kill -9 "$pid"
wait "$pid" 2> /dev/null || true
# What was at work on the machine may have come to its end alone: then there is nothing left to restore.
if ! rebuild 0 --from "$sealed" --passphrase-file "$work/passphrase" 2> /dev/null; then
    says "the API server answers, so the cluster's current state would be lost"
    up
fi
there before
well second

row "regular snapshots: the control plane takes and encrypts them by itself, and keeps the newest"
age-keygen -o "$work/key" 2> /dev/null
sed -i "s|^snapshots: .*|snapshots: {to: /srv/snapshots, every: 1h, keep: 2, recipients: [$(age-keygen -y "$work/key")]}|" "$inventory"
up
empty
# The clock may come to a moment of its own meanwhile, and may just have.
on twilightsparkle 'systemctl stop hostler-snapshot.timer hostler-snapshot.service && rm -rf /srv/snapshots'
for day in 4 3 2; do
    on twilightsparkle "touch -d '-$day days' /srv/snapshots/lab-2026010${day}T000000Z.tar.gz 2> /dev/null ||
        { mkdir -p /srv/snapshots && touch -d '-$day days' /srv/snapshots/lab-2026010${day}T000000Z.tar.gz; }"
done
kubectl create configmap regular > /dev/null
on twilightsparkle systemctl start hostler-snapshot.service
[ "$(on twilightsparkle 'ls /srv/snapshots | wc -l')" = 2 ]
newest=$(on twilightsparkle 'ls /srv/snapshots | tail -n 1')
[ "$(on twilightsparkle stat -c %a:%U "/srv/snapshots/$newest")" = 600:root ]
on twilightsparkle systemctl start hostler-snapshot.service
[ "$(on twilightsparkle 'ls /srv/snapshots | tail -n 1')" = "$newest" ] || { echo "it was not due" >&2; exit 1; }
on twilightsparkle systemctl start hostler-snapshot.timer
on twilightsparkle "base64 < /srv/snapshots/$newest" | base64 -d > "$work/regular.tar.gz.age"

row "one that goes wrong is told by status"
run 0 status -i "$inventory"
on twilightsparkle 'mv /srv/snapshots /srv/elsewhere && touch /srv/snapshots && ! systemctl start hostler-snapshot.service 2> /dev/null'
run 1 status -i "$inventory"
says "the last snapshot on twilightsparkle failed"
on twilightsparkle 'rm /srv/snapshots && mv /srv/elsewhere /srv/snapshots && systemctl start hostler-snapshot.service'
run 0 status -i "$inventory"

row "the API server is broken, though etcd's data is there: no restore, and no new cluster; up repairs it"
no_api_server() {
    on twilightsparkle 'rm /etc/kubernetes/manifests/kube-apiserver.yaml; while crictl ps --name kube-apiserver -q | grep -q .; do sleep 0.2; done'
}
kubectl create configmap newer > /dev/null
no_api_server
rebuild 3 --from "$work/regular.tar.gz.age" --identity "$work/key"
says "twilightsparkle: etcd's data is still on the machine"
says '` repairs what can be repaired'
rebuild 3 --new-cluster --yes-new-cluster lab
says "twilightsparkle: etcd's data is still on the machine"
up
there newer
untouched rainbowdash

row "the same with its data moved out of the way, as the refusal says: wiped, and restored from a regular snapshot"
no_api_server
rebuild 3 --from "$work/regular.tar.gz.age" --identity "$work/key"
says "move etcd's data aside with \`mv /var/lib/etcd /var/lib/etcd.before\` on the machine"
on twilightsparkle mv /var/lib/etcd /var/lib/etcd.before
rebuild 0 --from "$work/regular.tar.gz.age" --identity "$work/key"
gone newer
on twilightsparkle test -s /var/lib/etcd.before/member/snap/db
there regular
well third
[ "$(on twilightsparkle systemctl is-active hostler-snapshot.timer)" = active ]

row "a snapshot that is cut, or none, is no snapshot: nothing is changed"
head -c 5000 "$work/regular.tar.gz.age" > "$work/cut.tar.gz.age"
rebuild 2 --from "$work/cut.tar.gz.age" --identity "$work/key"
rebuild 2 --from "$work/regular.tar.gz.age"
says "is encrypted to public keys"
rebuild 2 --from "$work/list"
printf 'another\n' > "$work/another"
rebuild 2 --from "$sealed" --passphrase-file "$work/another"
says "wrong passphrase"
there regular

row "no snapshot at all: a new cluster, and the worker is in it"
run 0 lab blank twilightsparkle
rebuild 2 --new-cluster --yes-new-cluster other
rebuild 2 --new-cluster
says "--yes-new-cluster"
rebuild 0 --new-cluster --yes-new-cluster lab
ready 2
gone before
[ "$(ca)" != "$(cat "$work/ca")" ]
empty

printf '%d rows passed\n' "$rows"
