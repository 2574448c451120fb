"""What others left on a machine that is to come in: refused, with a way out that is then taken."""

from kind import Fault

# A certificate authority and a kubelet.conf of a cluster that nobody knows.
OTHER_CLUSTER = r"""
set -e
mkdir -p /etc/kubernetes/pki /var/lib/kubelet
cd /etc/kubernetes
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=other -keyout pki/ca.key -out pki/ca.crt 2> /dev/null
cat > kubelet.conf << END
apiVersion: v1
kind: Config
clusters:
- cluster: {certificate-authority-data: $(base64 -w 0 < pki/ca.crt), server: "https://10.9.9.9:6443"}
  name: other
END
sed -i 's/^- cluster: {\(certificate-authority-data: [^,]*\), \(server: [^}]*\)}/- cluster:\n    \1\n    \2/' kubelet.conf
echo 'current-context: system:node:elsewhere@other' >> kubelet.conf
echo 'kind: KubeletConfiguration' > /var/lib/kubelet/config.yaml
"""


class OtherCluster(Fault):
    kind = "in another cluster"
    where = "fresh"
    early = True
    weight = 1
    refused = True

    def inject(self, scene):
        self.machine.sh(OTHER_CLUSTER)

    def judge(self, verb):
        if f"{self.machine}  facts done" in verb.log and f"refused: {self.machine}: the machine belongs to another cluster" not in verb.log:
            return "a machine of another cluster is not refused"
        return None


class Leftovers(Fault):
    kind = "leftovers of another cluster"
    where = "fresh"
    early = True
    weight = 1
    refused = True

    def inject(self, scene):
        paths = ["/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/cni/net.d/10-other.conflist", "/var/lib/etcd/member/snap/db", "/etc/kubernetes/pki/ca.crt"]
        chosen = self.chance.sample(paths, self.chance.randint(1, len(paths)))
        self.detail = ", ".join(chosen)
        for path in chosen:
            self.machine.sh('mkdir -p "${1%/*}"; echo other > "$1"', arguments=[path])

    def judge(self, verb):
        if f"{self.machine}  facts done" in verb.log and f"refused: {self.machine}: an earlier cluster left" not in verb.log:
            return "what another cluster left is not refused"
        return None


class Foreign(Fault):
    """The way out is a person's: the other platform is removed."""

    where = "fresh"
    early = True
    weight = 1

    def judge(self, verb):
        if f"{self.machine}  facts done" in verb.log and f"refused: {self.machine}: {self.named} " not in verb.log:
            return f"{self.named} is not refused"
        return None


class K3s(Foreign):
    kind = "k3s on the machine"
    named = "/usr/local/bin/k3s and k3s.service"

    def inject(self, scene):
        self.machine.sh(
            "cp /usr/bin/sleep /usr/local/bin/k3s; printf '[Service]\\nExecStart=/usr/local/bin/k3s infinity\\n[Install]\\nWantedBy=multi-user.target\\n' >"
            " /etc/systemd/system/k3s.service; systemctl daemon-reload; systemctl enable --quiet --now k3s"
        )

    def undo(self):
        self.machine.sh("systemctl disable --quiet --now k3s; rm -f /usr/local/bin/k3s /etc/systemd/system/k3s.service; systemctl daemon-reload", check=False)


class Docker(Foreign):
    kind = "Docker's containerd on the machine"
    named = "docker's containerd"

    def inject(self, scene):
        self.machine.sh(
            "for name in containerd dockerd; do cp /usr/bin/sleep /usr/bin/$name; done; for unit in containerd:containerd docker:dockerd; do"
            " printf '[Service]\\nExecStart=/usr/bin/%s infinity\\n[Install]\\nWantedBy=multi-user.target\\n' ${unit#*:} >"
            " /usr/lib/systemd/system/${unit%:*}.service; done; systemctl daemon-reload; systemctl enable --quiet --now docker containerd"
        )

    def undo(self):
        self.machine.sh(
            "[ -e /usr/bin/dockerd ] || exit 0; systemctl disable --quiet --now docker containerd;"
            " rm -f /usr/bin/dockerd /usr/bin/containerd /usr/lib/systemd/system/docker.service /usr/lib/systemd/system/containerd.service;"
            " systemctl daemon-reload",
            check=False,
        )


KINDS = [OtherCluster, Leftovers, K3s, Docker]
