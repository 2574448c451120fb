"""The lab's machines from outside: into their namespaces, their disks and their cables, with no sshd in between."""

import os
import subprocess
import time
from pathlib import Path

LAB = os.environ.setdefault("HOSTLER_LAB", "faults")
STATE = Path(f"/var/lib/hostler/lab.{LAB}")
NETWORK = f"hostler-lab.{LAB}"
PATH = "/opt/hostler/current/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMES = ["twilightsparkle", "rainbowdash", "fluttershy", "applejack", "pinkiepie"]


class Failed(Exception):
    """A program did not do what it should."""


def run(*command, text=None, check=True, limit=120, **options):
    """A program of this computer: its output."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=limit, **options)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))[:200]}: status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def until(seconds, what, condition):
    """Waits until `condition()` is true: at most so long, or the campaign ends."""
    limit = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise Failed(f"waited {seconds} s for {what} in vain")
        time.sleep(0.1)


def namespaces(process):
    with open(f"/proc/{process}/status", encoding="utf-8") as file:
        return next((line.split()[1:] for line in file if line.startswith("NSpid:")), [])


class Machine:
    """A machine of the lab. Its number is the last byte of its address, and names its end of the cable."""

    def __init__(self, name, control_plane):
        self.name = name
        self.number = 11 + NAMES.index(name)
        self.address = f"10.77.0.{self.number}"
        self.control_plane = control_plane
        self._init = None

    def __repr__(self):
        return self.name

    @property
    def namespace(self):
        return f"{NETWORK}-{self.name}"

    def init(self):
        """The process that is the machine's init, or None where it is off."""
        try:
            network = os.stat(f"/run/netns/{self.namespace}").st_ino
        except FileNotFoundError:
            return None
        depth = len(namespaces("self"))

        def is_init(process):
            try:
                if os.stat(f"/proc/{process}/ns/net").st_ino != network:
                    return False
                numbers = namespaces(process)
            except OSError:
                return False
            return len(numbers) == depth + 1 and numbers[-1] == "1"

        if self._init and is_init(self._init):
            return self._init
        self._init = next((process for process in os.listdir("/proc") if process.isdigit() and is_init(process)), None)
        return self._init

    def root(self):
        """The machine's file system, also what is in its memory alone."""
        init = self.init()
        if init is None:
            raise Failed(f"{self} is off")
        return Path(f"/proc/{init}/root")

    def sh(self, script, check=True, limit=60, arguments=()):
        """Runs a script as root on the machine, around sshd."""
        init = self.init()
        if init is None:
            raise Failed(f"{self} is off")
        enter = ["nsenter", "-t", init, "-m", "-u", "-i", "-n", "-p", "--"]
        return run(*enter, "env", "-i", f"PATH={PATH}", "HOME=/root", "LC_ALL=C", "sh", "-c", script, "sh", *arguments, check=check, limit=limit)

    def spawn(self, script):
        """Starts a script on the machine that goes on until the machine is off or it is ended there."""
        init = self.init()
        enter = ["nsenter", "-t", init, "-m", "-u", "-i", "-n", "-p", "--"]
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            [*enter, "env", "-i", f"PATH={PATH}", "sh", "-c", script], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )

    def port(self, *words):
        """`ip link set` for the machine's end of the cable in the lab's switch."""
        run("ip", "-n", NETWORK, "link", "set", f"v{self.number}", *words, check=False)

    def in_network(self, *command, check=True):
        """A program of this computer in the machine's network."""
        return run("ip", "netns", "exec", self.namespace, *command, check=check)

    def in_switch(self, *command, check=True):
        """A program of this computer in the network of the lab's switch."""
        return run("ip", "netns", "exec", NETWORK, *command, check=check)

    def host_key(self):
        words = (self.root() / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8").split()
        return " ".join(words[:2])

    def began(self):
        """When containerd and kubelet began, to see that nobody restarted them."""
        return self.sh("systemctl show -p ExecMainStartTimestampMonotonic containerd kubelet")


class Lab:
    """All machines, and the cluster as they tell it."""

    def __init__(self, hostler, planes, workers):
        self.hostler = hostler
        self.planes = planes
        self.machines = [Machine(name, index < planes) for index, name in enumerate(NAMES[: planes + workers])]

    def __getitem__(self, name):
        return next(machine for machine in self.machines if machine.name == name)

    @property
    def control_planes(self):
        return [machine for machine in self.machines if machine.control_plane]

    @property
    def workers(self):
        return [machine for machine in self.machines if not machine.control_plane]

    def verb(self, *words, limit=300):
        """`hostler lab ...`, which is not what is tested here."""
        return run(self.hostler, "lab", *words, limit=limit)

    def is_up(self):
        if not (STATE / "inventory.yaml").exists():
            return False
        lines = [line.split() for line in self.verb("list").splitlines()[1:]]
        wanted = [(machine.name, "control-plane" if machine.control_plane else "worker") for machine in self.machines]
        return [(line[0], line[2]) for line in lines] == wanted

    def up(self):
        self.verb("down")
        self.verb("up", "--machines-only", "--machines", str(len(self.machines)), "--control-planes", str(self.planes), limit=600)

    def kubectl(self, *words, check=True, avoid=()):
        """What the API server of the first control plane that is not to be avoided says."""
        plane = next(machine for machine in self.control_planes if machine not in avoid and machine.init())
        line = 'exec kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 --tls-server-name kubernetes --request-timeout 10s "$@"'
        return plane.sh(line, check=check, arguments=words)

    def etcd(self, *words):
        files = "--cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key"
        return self.control_planes[0].sh(f'exec etcdctl --endpoints https://127.0.0.1:2379 {files} --command-timeout 10s "$@"', arguments=words)

    def ill(self):
        """What is not as in a healthy cluster, as lines; none where all is well."""
        troubles = []
        try:
            nodes = {line.split()[0]: line.split()[1] for line in self.kubectl("get", "nodes", "--no-headers").splitlines()}
            for machine in self.machines:
                if nodes.get(machine.name) != "Ready":
                    troubles.append(f"node {machine} is {nodes.get(machine.name, 'not there')}")
            troubles += [f"node {node} is nobody's" for node in nodes if node not in [machine.name for machine in self.machines]]
            members = self.etcd("endpoint", "health", "--cluster").splitlines()
            if len(members) != self.planes:
                troubles.append(f"etcd has {len(members)} members, not {self.planes}")
        except (Failed, StopIteration, subprocess.TimeoutExpired) as error:
            troubles.append(f"the cluster does not answer: {error}")
        return troubles


