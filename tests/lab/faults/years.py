"""Rounds of the verbs of a cluster's years: `upgrade`, `upgrade --rollback`, `reboot`, `shutdown` with `start`, and `snapshot create`; drawn from a seed."""

from kind import Fault
from kinds_hostler import Killed
from machine import Failed, run
from rounds import Draw, Round
from scene import Trigger

OLD, NEW = "1.36.1", "1.36.3"
# So many steps begin in each, about.
LENGTH = {"upgrade": 16, "rollback": 8, "reboot": 8, "shutdown": 6, "snapshot": 1}
WORDS = {"upgrade": ["upgrade", "--to", NEW], "rollback": ["upgrade", "--rollback"], "shutdown": ["shutdown"], "snapshot": ["snapshot", "create"]}
# What a person types next, whatever came of the verb; else the same again.
AFTER = {"reboot": ["up"], "shutdown": ["start"], "snapshot": ["up"]}
WHERES = ("any", "node")


class WrongImage(Fault):
    """The new version's API server is another program in containerd, as a damaged transfer or a hand may leave it."""

    kind = "wrong image"
    where = "control plane"

    def inject(self, scene):
        self.machine.sh(
            f"ctr -n k8s.io images tag --force \"$(ctr -n k8s.io images ls -q | grep pause: | head -n 1)\" registry.k8s.io/kube-apiserver:v{NEW}"
        )


class Tending(Round):
    everywhere = True

    def __init__(self, name, machines, triggers, plain, then=()):
        words = WORDS.get(name) or ["reboot", *[machine.name for machine in machines]]
        self.again = AFTER.get(name, words)
        super().__init__(name, words, triggers=triggers, plain=plain, then=then)

    def prepare(self, scene):
        lab = scene.lab
        if self.name in AFTER:
            return
        if versions(lab) != {OLD}:
            scene.renew(OLD)
            scene.mark()
        if self.name == "rollback":
            # Until the control plane has the new version, and no worker has.
            turn = lab.workers[0]
            kill = Trigger(Killed(None, None), turn, "make-way")
            verb = scene.disturbed(["upgrade", "--to", NEW], [kill], True)
            if not kill.injected or versions(lab) == {NEW}:
                raise Failed(f"the upgrade could not be interrupted: status {verb.status}")

    def settled(self, scene):
        # What is not of an upgrade, `up` repairs: a file that was cut in half, for one.
        scene.version(max(versions(scene.lab)))
        scene.settle(scene.verb)

    def left(self, scene):
        wanted = {"upgrade": {NEW}, "rollback": {OLD}}.get(self.name)
        found = versions(scene.lab)
        if wanted and found != wanted:
            return f"kubelets have the versions {', '.join(sorted(found))}, not {', '.join(wanted)}"
        if self.name == "snapshot":
            # One that was interrupted is in the way of no other, and is not taken for a whole one.
            verb = scene.run("snapshot", "create")
            files = sorted((scene.home / ".local/share/hostler/snapshots").glob("*.tar.gz"))
            if verb.status != 0 or not files:
                return f"no snapshot can be created any more: status {verb.status}"
            for file in files:
                run(scene.lab.hostler, "snapshot", "verify", file)
        cordoned = scene.lab.kubectl("get", "nodes", "-o", "jsonpath={.items[*].spec.unschedulable}")
        if cordoned:
            return "a node is still cordoned"
        return None


def versions(lab):
    found = lab.kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.kubeletVersion}", check=False)
    return {version.lstrip("v") for version in found.split()}


def draw(seed, lab, done):
    """The round of a seed: faults of the verb, and of the runs after it, as long as it has not ended well."""
    drawn = Draw(seed, lab, done)
    chance = drawn.chance
    name = chance.choices([*LENGTH], [6, 2, 2, 2, 1])[0]
    length = LENGTH[name]

    def some(steps, count):
        triggers = [drawn.meanwhile(chance.choice(lab.machines), WHERES, steps) for _ in range(count)]
        if chance.random() < 0.6:
            triggers.append(drawn.meanwhile(None, ("hostler",), steps))
        return triggers

    triggers = some(length, chance.randint(2, 3))
    if name == "upgrade" and chance.random() < 0.4:
        machine = chance.choice(lab.control_planes)
        triggers.append(Trigger(drawn.fault(WrongImage, machine), machine, "upgrade-control-plane", after=chance.choice([0.0, chance.uniform(0, 20)])))
    # A run that goes on has fewer steps left each time.
    then = [some(length // (2 + number), 1) for number in range(chance.randint(1, 3))] if name == "upgrade" else []
    return Tending(name, lab.machines, triggers, chance.random() < 0.6, then)
