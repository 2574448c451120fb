#!/bin/bash
# years-like.sh HOSTLER: a lab that is like another cluster, as a rehearsal, on the lab's real machines, as root. As rows.sh says.
# shellcheck disable=SC2016 # backquotes are hostler's own
set -euo pipefail
hostler=$(realpath "$1")
lab=like
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

# The inventory of a shelf at home, which the lab is not to reach: its SSH, its file server, its messages, its films.
home=$work/home.yaml
cat > "$home" << 'END'
cluster: {name: shelf}
ssh: {user: ada, jump: nobody@192.0.2.1}
machines:
  bakery: {address: 192.168.50.11, role: control-plane, mac: "52:54:00:12:34:56"}
  library: {address: 192.168.50.12, labels: {books: many}, taints: ["reading=only:NoSchedule"]}
kubeadm:
  KubeletConfiguration: {maxPods: 60}
snapshots: {every: 12h, to: /srv/nowhere/snapshots}
notify: {url: "https://ntfy.invalid/s3cret"}
END
kubectl() { "$hostler" lab exec kubectl "$@"; }

row "what a lab can't be like is a usage error, and nothing is started"
sed 's/192.168.50.12/192.168.51.12/' "$home" > "$work/two.yaml"
run 2 lab up --like "$work/two.yaml"
says "is in a different one than"
run 2 lab up --like "$home" --machines 3
run 2 lab up --like "$home" --from
says "there is no snapshot of"
run 2 lab up --from
[ ! -e "$state" ]

row "machines with its names, roles, addresses and fragments, and nothing that leaves the lab"
run 0 lab up --like "$home"
run 0 lab list
grep -Eq 'bakery +192.168.50.11 +control-plane' "$work/out"
grep -Eq 'library +192.168.50.12 +worker' "$work/out"
if grep -E 'ntfy|jump|52:54|nowhere' "$inventory"; then exit 1; fi
kubectl get node library -o jsonpath='{.status.capacity.pods} {.metadata.labels.books} {.spec.taints[*].key}' > "$work/node"
grep -qx '60 many reading' "$work/node"
kubectl config view --minify -o jsonpath='{.clusters[0].name}' > "$work/name"
grep -qx shelf "$work/name"
up
says "nothing to do"
run 0 lab up --like "$home"
run 3 lab up --machines 2
says "run \`HOSTLER_LAB=like hostler lab up --like $home\`"

row "its kubeconfig and its snapshots are the lab's alone: the real cluster has the same name"
kubectl create configmap rehearsed > /dev/null
run 0 snapshot create -i "$inventory"
says "$state/snapshots/shelf-"
run 0 kubeconfig -i "$inventory"
says "hostler lab exec"
[ -z "$(find "$XDG_CONFIG_HOME" "$XDG_DATA_HOME" -name '*shelf*' 2> /dev/null)" ]

row "from a snapshot: the cluster as it was, on machines that never were in it; a worker that is rebuilt joins"
cp "$state"/snapshots/shelf-*.tar.gz "$work/shelf.tar.gz"
kubectl get namespace kube-system -o jsonpath='{.metadata.uid}' > "$work/uid"
run 0 lab down
[ ! -e "$state" ]
run 0 lab up --like "$home" --from "$work/shelf.tar.gz"
kubectl get configmap rehearsed > /dev/null
[ "$(kubectl get namespace kube-system -o jsonpath='{.metadata.uid}')" = "$(cat "$work/uid")" ]
[ "$(kubectl get nodes --no-headers | awk '$2 == "Ready"' | wc -l)" = 2 ]
up
says "nothing to do"
run 0 rebuild library -i "$inventory" --yes
up
says "nothing to do"

row "what a snapshot brought goes with the lab"
run 0 lab down
[ ! -e "$state" ]

printf '%d rows passed\n' "$rows"
