"""Rounds of a campaign: which verb, on which machines, and which faults at which steps; drawn from a seed."""

import random
import time

import kinds_hostler
import kinds_leftover
import kinds_link
import kinds_system
import table
from machine import Failed
from scene import AGAIN, BROKEN, BY_ITSELF, WAY_OUT, Trigger, in_trouble

KINDS = [*kinds_hostler.KINDS, *kinds_link.KINDS, *kinds_system.KINDS, *kinds_leftover.KINDS]
# Steps of a machine that comes in, as often as they take time.
STEPS = ["look", "packages", "modules", "sysctls", "hosts", "programs", "programs", "containerd", "kubelet-unit", "images-node", "images-node",
         "images-pods", "join", "join"]  # fmt: skip
PLANE_STEPS = [*STEPS, "images-control-plane", "images-control-plane", "vip"]
# What the machine that speaks for the cluster may suffer while another comes in.
SPEAKERS = ["power cut and back, unsynced data lost", "sshd and all its sessions killed", "link down for 5 s", "link slow (tbf, 8 Mbit/s)",
            "link lossy (one packet in 20, both ways)", "containerd stopped", "containerd killed with -9", "kubelet crash-looping", "disk full",
            "root read-only (bind remount)", "half-written file"]  # fmt: skip


class Draw:
    """What a seed draws. `done`: how often each kind was injected so far, so that all come."""

    def __init__(self, seed, lab, done):
        self.chance = random.Random(seed)
        self.lab = lab
        self.done = done
        self.drawn = {}

    def kind(self, wheres, among=None, early=None, machines=()):
        kinds = [kind for kind in KINDS if kind.where in wheres and (among is None or kind.kind in among)]
        kinds = [kind for kind in kinds if early is None or kind.early == early]
        if self.lab.planes < 3 and any(machine.control_plane for machine in machines):
            # What kubeadm made of the only control plane comes back from a backup alone.
            kinds = [kind for kind in kinds if kind is not kinds_system.HalfWrittenByKubeadm]
        # What came less often than its weight says comes sooner.
        shares = [kind.weight / (1 + self.done.get(kind.kind, 0) + self.drawn.get(kind.kind, 0)) ** 2 for kind in kinds]
        kind = self.chance.choices(kinds, shares)[0]
        self.drawn[kind.kind] = self.drawn.get(kind.kind, 0) + 1
        return kind

    def fault(self, kind, machine):
        return kind(machine, random.Random(self.chance.random()))

    def fresh(self, machine, count):
        """Faults of a machine that comes in."""
        taken, triggers = [], []
        for _ in range(count):
            kind = self.kind(("fresh", "any"))
            # One leftover a machine, and what holds on to the end once: several of these say the same as one.
            if kind in taken or any(kind.early and other.early for other in taken):
                kind = self.kind(("fresh", "any"), early=False)
            taken.append(kind)
            step = kind.at or self.chance.choice(PLANE_STEPS if machine.control_plane else STEPS)
            after = self.chance.choice([0.0, self.chance.uniform(0, 0.5), self.chance.uniform(0, 4)])
            triggers.append(Trigger(self.fault(kind, machine), machine, step, after=after))
        return triggers

    def meanwhile(self, machine, wheres, steps, among=None):
        """A fault after so many steps began anywhere; `machine`: None for hostler's own process."""
        kind = self.kind(wheres, among, early=False, machines=[machine] if machine else [])
        after = self.chance.choice([0.0, self.chance.uniform(0, 2)])
        return Trigger(self.fault(kind, machine), count=self.chance.randint(0, steps), after=after)


class Round:
    """`words`: the verb. `new`: machines that come in. `before`: faults that are there before it begins. `then`: triggers of the runs after it."""

    # What is run until there is nothing left to do.
    again = ["up"]
    # The verb has to do with all machines.
    everywhere = False

    def __init__(self, name, words, new=(), before=(), triggers=(), plain=True, then=()):
        self.name, self.words, self.new, self.before, self.triggers, self.plain = name, words, list(new), list(before), list(triggers), plain
        self.then = [list(each) for each in then]

    @property
    def all_triggers(self):
        return [*self.triggers, *(trigger for each in self.then for trigger in each)]

    def prepare(self, scene):
        """Makes the machines that are to come in new, and gone from the cluster where the verb is not `rebuild`."""
        if not self.new:
            return
        scene.blank(self.new)
        if self.name == "rebuild":
            # It has another host key than the inventory says, which a person looks at.
            scene.pin(self.new)
            return
        if self.name != "whole":
            for machine in self.new:
                verb = scene.start(["remove", machine.name, "--dead"]).wait()
                # A node is Ready for a while after its machine has gone.
                until = time.monotonic() + 180
                while verb.status == 3 and "the node is Ready" in verb.shown and time.monotonic() < until:
                    verb = scene.start(["remove", machine.name, "--dead"]).wait()
                if verb.status not in (0, 4):
                    raise Failed(f"`remove {machine} --dead` ended with {verb.status}: {verb.shown[-600:]}")
        else:
            for file in scene.home.glob(".config/hostler/*"):
                file.unlink()
        scene.pin(self.new)

    def settled(self, scene):
        """Runs what is due once `again` says that there is nothing left to do."""

    def left(self, scene):
        """What the verb did not do though it says that there is nothing left to do; else None."""


def every_file(lab):
    """Each file that hostler or kubeadm put on a machine, once for each kind of machine that has it, cut in half: a round each."""
    ours, kubeadms = kinds_system.HalfWritten, kinds_system.HalfWrittenByKubeadm
    done = set()
    for machine in [*lab.workers[:1], *lab.control_planes[-1:]]:
        # What is the same on every machine is cut on the first.
        found = [(ours, path) for path in ours.paths(machine) if path not in done]
        done.update(path for _, path in found)
        if not machine.control_plane or lab.planes > 2:
            found += [(kubeadms, path) for path in kubeadms.paths(machine)]
        for kind, path in found:
            yield Round("mend", ["up"], before=[kind(machine, random.Random(0), path)])


def from_seed(seed, lab, done, count, draw):
    """Rounds until so many faults were injected. `done`: results of earlier rounds, to which the caller adds these; `draw`: the round of a seed."""
    number, last = 0, len(done)
    while sum(len(result["faults"]) for result in done[last:]) < count:
        number += 1
        # Each round is its own: it can be drawn again alone.
        yield draw(f"{seed}.{number}", lab, table.counts(done))


def draw(seed, lab, done):
    """The round of a seed."""
    drawn = Draw(seed, lab, done)
    chance = drawn.chance
    # Of three control planes one can be made anew while the others go on.
    replaceable = lab.machines if lab.planes > 2 else lab.workers
    name = chance.choices(["mend", "rebuild", "add", "up", "whole"], [5, 4, 2, 4, 1])[0]
    triggers = []
    if name == "mend":
        before = []
        for machine in chance.sample(lab.machines, min(len(lab.machines), chance.randint(2, 4))):
            for _ in range(chance.randint(1, 2)):
                among = None if chance.random() < 0.4 else ["half-written file", "containerd stopped"]
                kind = drawn.kind(("any",) if among else ("node",), among, early=False, machines=[machine])
                before.append(drawn.fault(kind, machine))
        for machine in chance.sample(lab.machines, chance.randint(1, 2)):
            triggers.append(drawn.meanwhile(machine, ("any", "node"), 6))
        words, new = ["up"], []
    elif name == "whole":
        before, new, words = [], lab.machines, ["up"]
        for machine in lab.machines:
            triggers += drawn.fresh(machine, chance.randint(1, 2))
    else:
        count = chance.randint(2, 3) if name == "up" else 1
        new = chance.sample(replaceable if name == "rebuild" else lab.workers, min(count, len(lab.workers)))
        words = ["up"] if name == "up" else [name, new[0].name]
        before = []
        for machine in new:
            triggers += drawn.fresh(machine, chance.randint(2, 3) if name != "up" else chance.randint(1, 2))
        if chance.random() < 0.5:
            others = [machine for machine in lab.control_planes if machine not in new]
            triggers.append(drawn.meanwhile(chance.choice(others), ("any", "node"), 25, SPEAKERS))
    if chance.random() < 0.45:
        triggers.append(drawn.meanwhile(None, ("hostler",), 6 if name == "mend" else 25))
    return Round(name, words, new, before, triggers, plain=chance.random() < 0.6)


def play(round_, scene):
    """Plays a round: each fault that was injected, with when, outcome and remarks."""
    lab = scene.lab
    scene.verbs = []
    round_.prepare(scene)
    # In a round that makes a machine anew, nobody else is to be harmed.
    hit = {trigger.fault.machine for trigger in round_.all_triggers} | {fault.machine for fault in round_.before} | set(round_.new)
    bystanders = {machine: machine.began() for machine in lab.machines if machine not in hit and not round_.everywhere}
    for fault in round_.before:
        fault.inject(scene)
    started = time.monotonic()
    verb = scene.disturbed(round_.words, round_.triggers, round_.plain)
    faults = [(trigger.fault, trigger.when, verb) for trigger in round_.triggers if trigger.injected] + [(fault, "before it", verb) for fault in round_.before]
    fired = [trigger.fault for trigger in round_.triggers if trigger.fired] + round_.before
    for triggers in round_.then:
        if verb.status == 0 or verb.hung:
            break
        # The same verb goes on, and is disturbed again.
        scene.mend(fired)
        verb = scene.disturbed(round_.again, triggers, round_.plain)
        faults += [(trigger.fault, trigger.when, verb) for trigger in triggers if trigger.injected]
        fired = [trigger.fault for trigger in triggers if trigger.fired]
    remarks = []
    ways, runs, broken = [], 0, None
    try:
        if verb.hung:
            raise Failed("it hangs")
        for fault, _, during in faults:
            said = fault.judge(during)
            if said:
                remarks.append(f"{fault}: {said}")
        scene.mend(fired)
        ways, runs = scene.settle(verb, round_.again)
        round_.settled(scene)
        troubles = scene.calm()
        if troubles:
            raise Failed("; ".join(troubles))
        for fault, _, _ in faults:
            left = fault.left()
            if left:
                raise Failed(left)
        left = round_.left(scene)
        if left:
            raise Failed(left)
        if round_.name != "whole":
            value = lab.kubectl("get", "configmap", "campaign", "-o", "jsonpath={.data.mark}", check=False)
            if value != scene.kept:
                raise Failed(f"the cluster lost what it kept: the mark is `{value}`, not `{scene.kept}`")
        for machine, began in bystanders.items():
            if machine.began() != began:
                remarks.append(f"containerd or kubelet of {machine} was restarted, which nothing happened to")
    except Failed as error:
        broken = str(error)
    for each in scene.verbs:
        if "panicked at" in each.shown or "panicked at" in each.log:
            remarks.append(f"hostler {each.words[0]} panicked")
    results = []
    for fault, when, during in faults:
        results.append(
            {
                "kind": fault.kind,
                "machine": str(fault.machine or "hostler"),
                "detail": fault.detail,
                "verb": " ".join(round_.words[:1]) + (" (from nothing)" if round_.name == "whole" else " (mending)" if round_.name == "mend" else ""),
                "step": when,
                "outcome": outcome(fault, during, ways, runs, broken),
            }
        )
    return {
        "words": round_.words,
        "new": [machine.name for machine in round_.new],
        "faults": results,
        "status": verb.status,
        "seconds": round(verb.took),
        "all": round(time.monotonic() - started),
        "runs": runs,
        "ways": ways,
        "silent": round(max(each.silent for each in scene.verbs), 1),
        "remarks": remarks,
        "broken": broken,
    }


def outcome(fault, verb, ways, runs, broken):
    if broken:
        return BROKEN
    if any(str(fault.machine) in way.split() for way in ways):
        return WAY_OUT
    if fault.ends and verb.status != 0:
        return AGAIN
    if verb.status == 0 and runs == 1:
        return BY_ITSELF
    if fault.machine and in_trouble(verb, fault.machine):
        undone = type(fault).undo is not kind_of_nothing
        return WAY_OUT if undone and not hasattr(fault, "seconds") else AGAIN
    return AGAIN if verb.status != 0 else BY_ITSELF


kind_of_nothing = kinds_hostler.Killed.undo
