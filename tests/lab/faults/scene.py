"""A round: a verb, what goes wrong while it runs, and what it takes until the cluster is whole again."""

import re
import subprocess
import threading
import time
from pathlib import Path

from machine import LAB, STATE, Failed
from verb import Verb

# So many runs may it take until there is nothing left to do.
RUNS = 8
# A cluster that was just mended may take so long to be seen as well: a control plane's pods come back one after the other.
CALM = 150

BY_ITSELF = "by itself"
AGAIN = "by running again"
WAY_OUT = "way out taken"
BROKEN = "BROKEN"


class Trigger:
    """When a fault comes: some time after a step began on a machine, or after so many steps began anywhere."""

    def __init__(self, fault, machine=None, step=None, count=None, after=0.0):
        self.fault, self.machine, self.step, self.count, self.after = fault, machine, step, count, after
        self.fired = False
        self.injected = False
        self.when = "before it"

    def due(self, machine, step, count, last):
        """Whether it comes now; `last`: the last step that this verb surely comes to begins."""
        if self.fired:
            return False
        if self.count is not None:
            return last or count >= self.count
        return last or machine == self.machine.name and (step == self.step or step in ("join", "init"))


class Scene:
    """The lab, the inventory of the campaign, and the verb that runs. `more`: what the inventory has besides the lab's own."""

    def __init__(self, lab, work, more=""):
        self.lab = lab
        self.more = more
        self.work = Path(work)
        self.home = self.work / "home"
        self.delays = self.work / "delays"
        for folder in (self.home, self.delays):
            folder.mkdir(exist_ok=True)
        self.inventory = self.work / "inventory.yaml"
        self.verb = None
        self.verbs = []
        self.kept = None
        self.read_inventory()

    def read_inventory(self):
        """The lab's own, with a way to the machines that can be made long."""
        text = (STATE / "inventory.yaml").read_text(encoding="utf-8")
        relay = Path(__file__).parent / "relay.py"
        text, count = re.subn(
            r'^  proxyCommand: "(.*)"$',
            lambda found: f'  proxyCommand: "python3 {relay} {self.delays}/%h env HOSTLER_LAB={LAB} {found[1].removeprefix(f"HOSTLER_LAB={LAB} ")}"',
            text,
            flags=re.MULTILINE,
        )
        if count != 1:
            raise Failed("the lab's inventory has no proxyCommand")
        self.inventory.write_text(text + self.more, encoding="utf-8")
        self.pin(self.lab.machines)

    def renew(self, version=None):
        """A healthy cluster on new machines, of that version, else of the newest."""
        self.lab.up()
        self.read_inventory()
        if version:
            self.version(version)
        for file in self.home.glob(".config/hostler/*"):
            file.unlink()
        verb = self.run("up")
        troubles = self.calm() if verb.status == 0 else [verb.shown[-2000:]]
        if troubles:
            raise Failed(f"there is no healthy cluster to begin with: {'; '.join(troubles)}")

    def mark(self):
        """Something that the cluster has to keep."""
        self.kept = f"{time.time_ns():x}"
        self.lab.kubectl("delete", "configmap", "campaign", "--ignore-not-found")
        self.lab.kubectl("create", "configmap", "campaign", f"--from-literal=mark={self.kept}")

    def version(self, version):
        """Writes the cluster's version into the inventory."""
        text = self.inventory.read_text(encoding="utf-8")
        text, count = re.subn(r"^cluster:\n(?:  version: .*\n)?", f"cluster:\n  version: {version}\n", text, flags=re.MULTILINE)
        if count != 1:
            raise Failed("the inventory has no `cluster`")
        self.inventory.write_text(text, encoding="utf-8")

    def pin(self, machines):
        """Writes the host keys that machines have now into the inventory, as a person does who installed them anew."""
        text = self.inventory.read_text(encoding="utf-8")
        for machine in machines:
            pattern = rf"^(  {machine.name}:\n(?:    .*\n)*?    hostKey: ).*$"
            text, count = re.subn(pattern, lambda found, key=machine.host_key(): found[1] + key, text, flags=re.MULTILINE)
            if count != 1:
                raise Failed(f"the inventory has no host key of {machine}")
        self.inventory.write_text(text, encoding="utf-8")

    def start(self, words, plain=True, **watched):
        self.verb = Verb(self.home, self.lab.hostler, [*words, "-i", self.inventory, "--yes"], plain, **watched)
        self.verbs.append(self.verb)
        return self.verb

    def run(self, *words):
        return self.start(words).wait()

    def disturbed(self, words, triggers, plain):
        """Runs a verb while its triggers fire, and returns it when all of it has ended."""
        count = 0
        threads = []

        def inject(trigger):
            time.sleep(trigger.after)
            if self.verb is None or self.verb.status is not None:
                return
            trigger.injected = True
            try:
                trigger.fault.inject(self)
            except (Failed, OSError, subprocess.TimeoutExpired):
                # Another fault took the machine away, or there is nothing yet that it could harm. What came of it is undone all the same.
                trigger.injected = False

        def on_begin(machine, step):
            nonlocal count
            count += step != "look"
            last = step in ("nodes", "probe", "verify")
            for trigger in triggers:
                if trigger.due(machine, step, count, last):
                    trigger.fired = True
                    trigger.when = f"{machine}/{step}"
                    threads.append(threading.Thread(target=inject, args=(trigger,), daemon=True))
                    threads[-1].start()

        def on_line(line):
            for trigger in triggers:
                if trigger.injected and trigger.fault.noticed(line):
                    trigger.fault.undo()

        for trigger in triggers:
            if trigger.fault.early:
                trigger.fired = trigger.injected = True
                trigger.fault.inject(self)
        verb = self.start(words, plain, on_begin=on_begin, on_line=on_line)
        verb.wait()
        for thread in threads:
            thread.join(200)
        return verb

    def power(self):
        """All machines on, as a person would see to."""
        self.lab.verb("on")

    def mend(self, faults):
        """Undoes faults as a person would: the cable first, then power, then what can only be undone on a machine that is on."""
        for _ in range(2):
            for fault in faults:
                try:
                    fault.undo()
                except Failed:
                    pass
            self.power()

    def settle(self, verb, again=("up",)):
        """Runs `again`, or what hostler says is the way out, until there is nothing to do: the ways that were taken, and how often it ran."""
        ways = []
        usual = [["up"], list(again)]
        for count in range(1, RUNS + 1):
            self.power()
            if "no API server answers" in verb.shown or "again in a minute" in verb.shown:
                # kubelet starts what has died after a pause, as a person who runs it again later gives it.
                self.calm()
            if "there is no upgrade to roll back" in verb.shown:
                # It is done: it was the run that was disturbed, or one after it.
                again = ["up"]
            way = self.way_out(verb, list(again))
            verb = self.run(*way)
            if way not in usual:
                ways.append(" ".join(way))
            if verb.hung:
                raise Failed(f"hostler {' '.join(way)} hangs")
            done = verb.status == 0 and "nothing to do" in verb.shown and way == list(again)
            if done and self.way_out(verb, way) == way:
                return ways, count
        raise Failed(f"after {RUNS} runs there is still something to do: {last_words(verb)}")

    @staticmethod
    def way_out(verb, otherwise):
        """What to type next, by what was refused."""
        text = verb.shown + verb.log
        found = re.search(r"`hostler rebuild (\w+) --take-over \1(?: -i \S+)?` (?:wipes it first|removes the old one|rebuilds it from scratch)", text)
        if found:
            return ["rebuild", found[1], "--take-over", found[1]]
        machines = sorted(set(re.findall(r"`--take-over (\w+)` with up", text)))
        if machines:
            return ["up", *[word for machine in machines for word in ("--take-over", machine)]]
        found = re.search(r"(?:refused|hint|warning):.*`hostler rebuild (\w+)(?: -i \S+)?`(?: finishes it| brings it back| removes the old one| continues when| or correct)", text)
        if found:
            return ["rebuild", found[1]]
        found = re.search(r"warning: (\w+): an earlier reboot was interrupted: `hostler reboot \1(?: -i \S+)?` continues it", text)
        if found and verb.status == 0:
            return ["reboot", found[1]]
        if re.search(r"warning:.* still cordoned for a shutdown: `hostler start", text) and verb.status == 0:
            return ["start"]
        if re.search(r"hint:.*`hostler up`", text) and verb.status != 0:
            return ["up"]
        return otherwise

    def calm(self):
        """Waits until the cluster is healthy, as nobody but itself says."""
        limit = time.monotonic() + CALM
        while True:
            troubles = self.lab.ill()
            if not troubles or time.monotonic() > limit:
                return troubles
            time.sleep(2)

    def blank(self, machines):
        for machine in machines:
            self.lab.verb("blank", machine.name)

    def keep(self, folder):
        """Everything that the verbs of this round said."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for number, verb in enumerate(self.verbs):
            name = f"{number}-{verb.words[0]}"
            (folder / f"{name}.shown").write_text(f"$ hostler {' '.join(verb.words)}\nstatus {verb.status}\n{verb.shown}", encoding="utf-8")
            (folder / f"{name}.log").write_text(verb.log, encoding="utf-8")
        for machine in self.lab.machines:
            try:
                (folder / f"{machine}.journal").write_text(machine.sh("journalctl -n 2000 --no-pager -o short-precise", limit=30), encoding="utf-8")
            except Exception as error:  # pylint: disable=broad-except
                (folder / f"{machine}.journal").write_text(str(error), encoding="utf-8")


def last_words(verb):
    lines = [line for line in verb.shown.splitlines() if re.search(r"refused:|failed:|error:|unreachable:|hint:", line)]
    return "; ".join(line.strip() for line in lines[-4:])[:400]


def in_trouble(verb, machine):
    """Whether the verb says that something of the machine did not go well."""
    name = re.escape(machine.name)
    return bool(re.search(rf"  {name}(/\S+)?  (failed|unreachable):|^refused: {name}:|  {name}/\S+  blocked by", verb.log, re.MULTILINE))
