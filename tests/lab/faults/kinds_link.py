"""Faults of a machine's power, sshd and cable."""

import time
from pathlib import Path

from kind import Fault, Passing



class Cut(Fault):
    """Power gone, with all that was not synced, and back."""

    kind = "power cut and back, unsynced data lost"
    weight = 6
    restarts = True

    def inject(self, scene):
        scene.lab.verb("cut", self.machine.name)
        time.sleep(self.chance.uniform(0, 4))
        scene.lab.verb("on", self.machine.name)


class Sshd(Fault):
    kind = "sshd and all its sessions killed"
    weight = 4

    def inject(self, scene):
        self.machine.sh("pkill -9 -x 'sshd|sshd-session|sshd-auth'; systemctl reset-failed ssh; systemctl start ssh", check=False)


class Link(Passing):
    def begin(self, scene):
        self.machine.port("down")

    def undo(self):
        self.machine.port("up")


class LinkShort(Link):
    kind = "link down for 5 s"
    weight = 4
    seconds = (5, 5)


class LinkLong(Link):
    kind = "link down for 60 s"
    weight = 1
    seconds = (60, 60)


class LinkGone(Fault):
    """Down until the verb has ended: told by its name, and what does not need it is done."""

    kind = "link down for good"
    weight = 1
    early = True

    def inject(self, scene):
        self.machine.port("down")

    def undo(self):
        self.machine.port("up")

    def judge(self, verb):
        # Not every verb asks every machine, and one that another fault ends (Ctrl-C, SIGTERM) says that by its status.
        ended = verb.status is None or verb.status < 0 or verb.status > 128
        if f"{self.machine}  gathering facts" in verb.log and verb.status not in (3, 4) and not ended:
            return f"it ended with status {verb.status}, though {self.machine} can't be reached"
        return None


class LinkGoneInStep(LinkGone):
    """As before, but in the middle of a step: that waits five minutes, which is named."""

    kind = "link down for good, in a step"
    weight = 0.3
    early = False

    def judge(self, verb):
        if verb.status == 1 and f"{self.machine}/" in verb.log and "to come back" not in verb.log and "did not come back" not in verb.log:
            return "it does not say that the machine is gone"
        return None


class Slow(Passing):
    kind = "link slow (tbf, 8 Mbit/s)"
    seconds = (8, 15)

    def begin(self, scene):
        # What comes to the machine leaves the switch by its port.
        port = f"v{self.machine.number}"
        self.machine.in_switch("tc", "qdisc", "replace", "dev", port, "root", "tbf", "rate", "8mbit", "burst", "32kb", "latency", "400ms")

    def undo(self):
        self.machine.in_switch("tc", "qdisc", "delete", "dev", f"v{self.machine.number}", "root", check=False)


class Lossy(Passing):
    kind = "link lossy (one packet in 20, both ways)"
    seconds = (8, 20)

    def begin(self, scene):
        for command in (
            "add table inet lossy",
            "add chain inet lossy in { type filter hook prerouting priority -400 ; }",
            "add chain inet lossy out { type filter hook postrouting priority 400 ; }",
            "add rule inet lossy in iifname eth0 numgen random mod 20 == 0 drop",
            "add rule inet lossy out oifname eth0 numgen random mod 20 == 0 drop",
        ):
            self.machine.in_network("nft", *command.split())

    def undo(self):
        self.machine.in_network("nft", "delete", "table", "inet", "lossy", check=False)


class Far(Fault):
    """300 ms to the machine and back, for the whole verb: its way there leads through relay.py, which reads the delay from a file."""

    kind = "300 ms away (a relay)"
    early = True

    def inject(self, scene):
        self.file = Path(scene.delays) / self.machine.address
        self.file.write_text("0.15\n", encoding="ascii")

    def undo(self):
        self.file.unlink(missing_ok=True)


KINDS = [Cut, Sshd, LinkShort, LinkLong, LinkGone, LinkGoneInStep, Slow, Lossy, Far]
