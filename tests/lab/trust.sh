#!/bin/bash
# trust.sh HOSTLER: what hostler says of a cluster that something happened to is true, and its way out leads out, on the lab's real machines, as
# root. As rows.sh says.
# shellcheck disable=SC2016 # what is in single quotes runs on a machine
set -euo pipefail
hostler=$(realpath "$1")
lab=trust
# shellcheck source=tests/lab/rows.sh
. "$(dirname "$(realpath "$0")")/rows.sh"

# What kubelet could not report while nothing could be written is told a moment later.
mends() {
    up
    says "$1"
    # shellcheck disable=SC2016 # of eval
    wait_for 90 "a healthy cluster" eval 'run 0 status -i "$inventory"'
    says healthy
    empty
}
admin='export PATH=/opt/hostler/current/bin:$PATH KUBECONFIG=/etc/kubernetes/admin.conf;'
api_runs_with() { on twilightsparkle 'tr "\0" " " < "/proc/$(pgrep -x kube-apiserver | tail -n 1)/cmdline"' 2> /dev/null | grep -q -e "$1"; }
answers() { on twilightsparkle "$admin kubectl --server https://127.0.0.1:6443 --tls-server-name kubernetes get --raw /readyz" > /dev/null 2>&1; }

row "a cluster of three"
run 0 lab up --machines 3
up

row "another computer gets the inventory as the cluster keeps it; what that would run there is shown, and not written without a look"
# adopts ADDRESS FILE: on a computer that has only the key.
adopts() {
    mkdir -p "$work/person"
    HOME=$work/person ssh-agent sh -c 'ssh-add -q "$1" && shift && exec "$@"' sh "$state/key" "$hostler" lab exec -- \
        "$hostler" init --adopt "$1" --user root --inventory "$2" --yes --accept-new-host-keys 2> "$work/out" < /dev/null
}
adopts 10.77.0.11 - > "$work/adopted.yaml"
cmp "$inventory" "$work/adopted.yaml"
code=0
# The lab is reached through a command.
adopts 10.77.0.11 "$work/none.yaml" > /dev/null || code=$?
[ "$code" = 3 ]
says "with this inventory, hostler"
code=0
adopts 10.77.0.12 "$work/none.yaml" || code=$?
[ "$code" = 1 ]
says "is not a control plane"
[ ! -e "$work/none.yaml" ]

row "the lines of a file without roles are sorted: the control plane is named, and nothing is planned"
python3 - "$inventory" > "$work/sorted.yaml" << 'END'
import re, sys
text = open(sys.argv[1]).read()
text = re.sub(r"^ +role: .*\n", "", text, flags=re.M)
head, rest = text.split("machines:\n", 1)
entries = re.findall(r"^  [a-z]+:\n(?:    .*\n)+", rest, flags=re.M)
tail = rest[sum(map(len, entries)):]
print(head + "machines:\n" + "".join(sorted(entries)) + tail, end="")
END
run 3 plan -i "$work/sorted.yaml"
says "add \`role: control-plane\` to twilightsparkle"
says "no steps: blocked by 1 refusal"
run 3 up -i "$work/sorted.yaml" --yes
empty

row "what kubelets present is signed by the cluster, and API servers reach them by it"
every_kubelet_answers() { for machine in twilightsparkle rainbowdash fluttershy; do on twilightsparkle "$admin kubectl get --raw /api/v1/nodes/$machine/proxy/healthz" > /dev/null || return 1; done; }
every_kubelet_answers
# A pod may have no log yet.
logs_of_every_flannel() {
    on twilightsparkle "$admin"'kubectl --namespace kube-flannel logs --selector app=flannel --tail 1 --prefix' > "$work/out" 2>&1
    [ "$(grep -c '^\[pod/' "$work/out")" = 3 ]
}
wait_for 60 "a log of each machine's flannel" logs_of_every_flannel
on twilightsparkle 'grep -q -e --kubelet-certificate-authority=/etc/kubernetes/pki/ca.crt /etc/kubernetes/manifests/kube-apiserver.yaml'
for machine in twilightsparkle rainbowdash fluttershy; do on "$machine" '[ ! -e /var/lib/kubelet/pki/kubelet.crt ]'; done

row "whoever has the credentials of one kubelet gets no certificate for another machine: nobody approves it, and status says so"
on rainbowdash 'export PATH=/opt/hostler/current/bin:$PATH
    # As kubelets write it: in UTF8String, as openssl does it otherwise, it is refused for its form.
    printf "[req]\ndistinguished_name = dn\nstring_mask = pkix\n[dn]\n" > /root/forged.cnf
    openssl req -new -config /root/forged.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /root/forged.key -out /root/forged.csr \
        -subj "/O=system:nodes/CN=system:node:rainbowdash" -addext "subjectAltName=DNS:fluttershy,IP:10.77.0.13" 2> /dev/null
    kubectl --kubeconfig /etc/kubernetes/kubelet.conf create -f - << END
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: forged}
spec:
  request: $(base64 -w 0 /root/forged.csr)
  signerName: kubernetes.io/kubelet-serving
  usages: [digital signature, server auth]
END' > /dev/null
on twilightsparkle 'systemctl start hostler-renewal.service; journalctl -u hostler-renewal -o cat -n 5' | grep -q "did not approve a request by system:node:rainbowdash for a serving certificate"
run 1 status -i "$inventory"
says "hostler does not approve a request by "
says "the request is for 10.77.0.13 and fluttershy"
says "find out which program made it"
[ -z "$(on twilightsparkle "$admin"'kubectl get csr forged --output "jsonpath={.status}"' | tr -d '{}')" ]
on twilightsparkle "$admin"'kubectl delete csr forged' > /dev/null

row "a kubelet that lost its serving certificate asks for another one, which the timer approves; and up, where nobody did"
lose() { on rainbowdash 'rm -f /var/lib/kubelet/pki/kubelet-server-*; systemctl restart kubelet'; }
asks() { [ -n "$(on twilightsparkle "$admin"'kubectl get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving | grep -w Pending || :')" ]; }
lose
wait_for 60 "kubelet to ask" asks
run 1 status -i "$inventory"
says "kubelet on rainbowdash has no serving certificate signed by the cluster"
on twilightsparkle systemctl start hostler-renewal.service
wait_for 60 "kubelet to present it" every_kubelet_answers
run 0 status -i "$inventory"
lose
mends "approve the serving certificate of"
every_kubelet_answers

row "as an older hostler left it: kubelets get certificates that the cluster signs, and then API servers verify them"
on twilightsparkle "$admin"'
    without() { kubectl --namespace kube-system get configmap "$1" --output yaml | sed "$2" | kubectl replace --filename - > /dev/null; }
    without kubelet-config /serverTLSBootstrap/d
    without kubeadm-config /kubelet-certificate-authority/,+1d
    without hostler "/^ *kubelet-address\\./d"'
for machine in twilightsparkle rainbowdash fluttershy; do
    on "$machine" 'sed -i /^serverTLSBootstrap/d /var/lib/kubelet/config.yaml; rm -f /var/lib/kubelet/pki/kubelet-server-*; systemctl restart kubelet'
done
on twilightsparkle 'sed -i /kubelet-certificate-authority/d /etc/kubernetes/manifests/kube-apiserver.yaml'
wait_for 120 "the API server to start without it" eval '! api_runs_with --kubelet-certificate-authority'
wait_for 60 "the API server" answers
mends "need serving certificates"
api_runs_with --kubelet-certificate-authority
every_kubelet_answers

row "the API server's manifest was moved away: it is made again, and nobody names a restore"
on twilightsparkle 'mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/'
wait_for 60 "the API server to end" eval '! answers'
run 1 status -i "$inventory"
says_not "rebuild"
mends "kube-apiserver.yaml is missing"

row "somebody gave the API server another flag by hand: kubeadm writes its manifest again"
on twilightsparkle 'sed -i "s/--authorization-mode=Node,RBAC/--authorization-mode=AlwaysAllow/" /etc/kubernetes/manifests/kube-apiserver.yaml'
wait_for 120 "the API server to start with it" api_runs_with --authorization-mode=AlwaysAllow
wait_for 60 "the API server" answers
run 1 status -i "$inventory"
says "/etc/kubernetes/manifests/kube-apiserver.yaml was changed on the machine"
mends "/etc/kubernetes/manifests/kube-apiserver.yaml was changed on the machine"
api_runs_with --authorization-mode=Node,RBAC

row "the flag is one that the API server does not know, and the scheduler's manifest was changed, too: both are written again"
on twilightsparkle 'sed -i "s/- kube-apiserver\$/&\n    - --no-such-flag/; s/- kube-scheduler\$/&\n    - --v=3/" /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/manifests/kube-scheduler.yaml'
wait_for 120 "the API server to end" eval '! answers'
run 1 status -i "$inventory"
mends "kube-apiserver.yaml and /etc/kubernetes/manifests/kube-scheduler.yaml"

row "somebody gave kubelet another flag by hand: kubeadm's are put back, also where the API server does not come up any more"
flags=/var/lib/kubelet/kubeadm-flags.env
on rainbowdash "sed -i 's/\"\$/ --v=4\"/' $flags && systemctl restart kubelet"
run 1 status -i "$inventory"
says "kubelet's flags were changed on the machine"
mends "kubelet's flags were changed on the machine"
[ "$(on rainbowdash 'tr "\0" "\n" < "/proc/$(pgrep -x kubelet)/cmdline" | grep -c -e --v=4' || :)" = 0 ]
# As after a power cut.
on twilightsparkle "sed -i 's/\"\$/ --no-such-flag\"/' $flags && systemctl stop kubelet && $admin crictl pods --quiet | xargs crictl stopp > /dev/null && systemctl start kubelet"
wait_for 60 "the API server to end" eval '! answers'
run 1 status -i "$inventory"
mends "$flags was changed on the machine"

row "a kubelet that asks another server is sent back to the cluster's"
server=$(on rainbowdash "sed -n 's/ *server: //p' /etc/kubernetes/kubelet.conf")
on rainbowdash 'sed -i "s|server: .*|server: https://10.77.0.12:6443|" /etc/kubernetes/kubelet.conf && systemctl restart kubelet'
run 1 status -i "$inventory"
mends "/etc/kubernetes/kubelet.conf names the API server https://10.77.0.12:6443"
[ "$(on rainbowdash "sed -n 's/ *server: //p' /etc/kubernetes/kubelet.conf")" = "$server" ]

row "an empty or damaged file of another program in kubeadm's folders is no damage, and stays"
others='/etc/kubernetes/mine.conf /etc/kubernetes/pki/mine.crt /etc/kubernetes/manifests/.mine.yaml.swp'
on twilightsparkle "for file in $others; do : > \$file; done; echo broken > /etc/kubernetes/pki/mine.key"
run 0 status -i "$inventory"
empty
on twilightsparkle "for file in $others /etc/kubernetes/pki/mine.key; do [ -e \$file ] || exit 1; done; rm $others /etc/kubernetes/pki/mine.key"

row "the group of admin.conf lost its rights: the API server is not called down, and up gives them back"
on twilightsparkle "$admin kubectl delete clusterrolebinding kubeadm:cluster-admins" > /dev/null
run 1 status -i "$inventory"
says "the API server denies admin.conf access"
says_not "no API server answers"
code=0
"$hostler" remove rainbowdash -i "$inventory" --yes > "$work/out" 2>&1 < /dev/null || code=$?
[ "$code" != 0 ]
says "denies admin.conf access"
says "hostler up"
mends "restore the rights of admin.conf"
on twilightsparkle 'ls -d /run/hostler/admin.* /etc/kubernetes/super-admin.conf 2> /dev/null || :' > "$work/out"
[ ! -s "$work/out" ]

row "a setting of etcd alone: etcd gets it, and a setting of the API server alone does not restart etcd"
etcd_runs_with() { on twilightsparkle 'tr "\0" " " < "/proc/$(pgrep -x etcd)/cmdline"' 2> /dev/null | grep -q -e "$1"; }
plain=$(cat "$inventory")
sed -i 's/^kubeadm:$/&\n  ClusterConfiguration:\n    etcd: {local: {extraArgs: [{name: quota-backend-bytes, value: "4294967296"}]}}/' "$inventory"
up
etcd_runs_with '--quota-backend-bytes=4294967296'
empty
before=$(on twilightsparkle 'pgrep -x etcd')
sed -i 's/^  ClusterConfiguration:$/&\n    apiServer: {extraArgs: [{name: event-ttl, value: 2h0m0s}]}/' "$inventory"
up
api_runs_with '--event-ttl=2h0m0s'
[ "$(on twilightsparkle 'pgrep -x etcd')" = "$before" ]
empty

row "the CPU manager's policy changes: kubelet starts with the new one, and with the old one again"
sed -i 's/^  KubeletConfiguration:$/&\n    cpuManagerPolicy: static\n    kubeReserved: {cpu: 200m}/' "$inventory"
up
for machine in twilightsparkle rainbowdash fluttershy; do on "$machine" 'grep -q "\"policyName\":\"static\"" /var/lib/kubelet/cpu_manager_state'; done
printf '%s\n' "$plain" > "$inventory"
up
etcd_runs_with '--data-dir'
etcd_runs_with '--quota-backend-bytes=4294967296' && exit 1
for machine in twilightsparkle rainbowdash fluttershy; do on "$machine" 'grep -q "\"policyName\":\"none\"" /var/lib/kubelet/cpu_manager_state'; done
empty

row "settings with which containerd does not start, or does not serve kubelet: the machine goes on with the old ones, and no other gets the new ones"
printf 'version = 3\n[metrics]\n  address = "bad:address:x"\n' > "$work/1.toml"
printf 'version = 3\n[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]\n  base_runtime_spec = "/no/such.json"\n' > "$work/2.toml"
for wrong in "$work"/[12].toml; do
    { sed '/^containerd:$/,$d' <<< "$plain"; printf 'containerd:\n  own: |\n'; sed 's/^/    /' "$wrong"; sed -n '/^containerd:$/,$p' <<< "$plain" | tail -n +2; } > "$inventory"
    run 1 up -i "$inventory" --yes
    says "containerd does not work with its new configuration, so the previous one is back"
    changed=0
    for machine in twilightsparkle rainbowdash fluttershy; do
        on "$machine" '/opt/hostler/current/bin/crictl info > /dev/null'
        on "$machine" '! grep -rqs -e bad:address -e no/such.json /etc/containerd' || changed=1
    done
    [ "$changed" = 0 ]
done
printf '%s\n' "$plain" > "$inventory"
up
empty

row "every certificate of the only control plane has expired: its own CA signs them anew"
on twilightsparkle "$admin"'
    kubectl -n kube-system get configmap kubeadm-config -o "jsonpath={.data.ClusterConfiguration}" | sed "/certificateValidityPeriod/d" > /root/short.yaml
    printf "certificateValidityPeriod: 1m0s\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistration: {name: twilightsparkle}\n" >> /root/short.yaml
    rm -f /etc/kubernetes/kubelet.conf /var/lib/kubelet/pki/kubelet-client-current.pem
    kubeadm init phase kubeconfig kubelet --config /root/short.yaml && kubeadm certs renew all --config /root/short.yaml' > /dev/null 2>&1
wait_for 120 "certificates to expire" eval 'run 1 status -i "$inventory" && grep -q "has expired" "$work/out"'
on twilightsparkle "$admin"' for pod in $(crictl pods -q --label tier=control-plane); do crictl stopp "$pod"; done; systemctl restart kubelet' > /dev/null
mends "certificates have expired"

row "etcd has reached its quota: it gets room before anything else is written"
on twilightsparkle 'sed -i "s/^    - etcd$/&\n    - --quota-backend-bytes=25165824/" /etc/kubernetes/manifests/etcd.yaml && head -c 600000 /dev/urandom | base64 -w0 > /root/blob'
wait_for 120 "etcd to begin with its quota" on twilightsparkle 'tr "\0" " " < "/proc/$(pgrep -x etcd | tail -n 1)/cmdline" | grep -q quota-backend'
wait_for 120 "the API server" answers
on twilightsparkle "$admin"'
    for _ in $(seq 100); do
        kubectl create configmap blob --from-file=/root/blob > /root/said 2>&1 || ! grep -q "space exceeded" /root/said || exit 0
        kubectl delete configmap blob > /root/said 2>&1 || ! grep -q "space exceeded" /root/said || exit 0
    done
    exit 1'
wait_for 30 "the alarm" eval 'run 1 status -i "$inventory" && grep -q NOSPACE "$work/out"'
mends "compact and defragment"

row "kubelet's certificate of a worker dangles, and expires: kubelet bootstraps again, and its pods keep running"
# Without those of the verification, which come and go.
containers() { on rainbowdash '/opt/hostler/current/bin/crictl ps --label io.kubernetes.pod.namespace=kube-system -q | sort'; }
containers > "$work/containers"
on rainbowdash 'systemctl stop kubelet && rm -f "$(readlink -f /var/lib/kubelet/pki/kubelet-client-current.pem)"'
mends "request a new client certificate for kubelet"
ask='openssl req -new -key /var/lib/kubelet/pki/kubelet-client-current.pem -subj "/O=system:nodes/CN=system:node:rainbowdash"'
sign='openssl x509 -req -CA /etc/kubernetes/pki/ca.crt -CAkey /etc/kubernetes/pki/ca.key -not_before 20250101000000Z -not_after 20251201000000Z 2> /dev/null'
replace='f=$(readlink -f /var/lib/kubelet/pki/kubelet-client-current.pem); { cat; openssl pkey -in "$f"; } > /root/expired.pem; cat /root/expired.pem > "$f"; systemctl restart kubelet'
on rainbowdash "$ask" | "$hostler" lab ssh twilightsparkle "$sign" | "$hostler" lab ssh rainbowdash "$replace"
wait_for 60 "the certificate to be seen" eval 'run 1 status -i "$inventory" && grep -q "kubelet-client of rainbowdash has expired" "$work/out"'
mends "kubelet's client certificate has expired"
containers | diff "$work/containers" -

row "a login is lost: the machine is not taken out of the cluster behind its back"
on rainbowdash 'cp /etc/ssh/sshd_config /root/ && systemd-run --quiet --on-active=40 sh -c "cp /root/sshd_config /etc/ssh/ && systemctl restart ssh" &&
    printf "PasswordAuthentication no\nPubkeyAuthentication no\nKbdInteractiveAuthentication yes\n" > /etc/ssh/sshd_config && systemctl restart ssh'
run 4 status -i "$inventory"
says "rainbowdash can't be reached"
says_not "hostler rebuild"
code=0
"$hostler" rebuild rainbowdash -i "$inventory" --yes > "$work/out" 2>&1 < /dev/null || code=$?
[ "$code" != 0 ]
says "the machine may still be running, so it is not removed from the cluster"
ready 3
wait_for 120 "the login to come back" eval "on rainbowdash true 2> /dev/null"
becomes_ready 3
run 0 status -i "$inventory"

row "a restore when a machine was rebuilt since: it is named, and rebuild brings it back"
run 0 snapshot create -i "$inventory"
run 0 rebuild rainbowdash -i "$inventory" --yes
run 0 lab blank twilightsparkle
run 0 rebuild twilightsparkle -i "$inventory" --yes --host-key "$(host_key twilightsparkle)" --from
says "rainbowdash"
says "joined again after the snapshot was taken"
says "hostler rebuild rainbowdash"
run 0 rebuild rainbowdash -i "$inventory" --yes
up
run 0 status -i "$inventory"

row "another program's network comes before flannel's: it is named, and nothing of others is deleted"
on rainbowdash 'printf "{\"cniVersion\": \"1.0.0\", \"name\": \"other\", \"plugins\": [{\"type\": \"bridge\"}]}" > /etc/cni/net.d/05-other.conflist
    mkdir -p /etc/systemd/system/kubelet.service.d && printf "[Service]\nEnvironment=MINE=1\n" > /etc/systemd/system/kubelet.service.d/20-mine.conf'
run 1 status -i "$inventory"
says "rainbowdash: new pods get their network from /etc/cni/net.d/05-other.conflist"
run 0 plan -i "$inventory"
says "/etc/systemd/system/kubelet.service.d/20-mine.conf"
on rainbowdash 'rm /etc/cni/net.d/05-other.conflist /etc/systemd/system/kubelet.service.d/20-mine.conf'
run 0 status -i "$inventory"

row "a firewall is closed after the verification: it is said between which machines"
on rainbowdash 'iptables -I INPUT -p udp --dport 8472 -j DROP'
run 1 status -i "$inventory"
says "twilightsparkle: no answer from rainbowdash over the pod network"
on rainbowdash 'iptables -D INPUT -p udp --dport 8472 -j DROP'
run 0 status -i "$inventory"

row "etcd can't read its data: its words, and the restore"
on twilightsparkle 'mv /etc/kubernetes/manifests/etcd.yaml /root/ && until ! pgrep -x etcd > /dev/null; do :; done
    for file in /var/lib/etcd/member/wal/*.wal; do dd if=/dev/urandom of="$file" bs=1 seek=200 count=4000 conv=notrunc 2> /dev/null; done; mv /root/etcd.yaml /etc/kubernetes/manifests/'
wait_for 120 "etcd to say it" eval '"$hostler" up -i "$inventory" --yes > "$work/out" 2>&1 < /dev/null; grep -q "can.t read its data" "$work/out"'
says "--from SNAPSHOT"
run 0 rebuild twilightsparkle -i "$inventory" --yes --from

echo "$rows rows passed"
