"""What can go wrong: each kind of fault, how it is injected, how a person undoes it, and what hostler has to say of it."""

import random
import time


class Fault:
    """One fault on one machine, or of hostler's own process.

    `where`: `fresh` (a machine that comes in), `node` (one that is in), `any`, or `hostler`.
    `early`: whether it only matters before the steps that it is about, so it is injected before the verb begins.
    """

    kind = ""
    where = "any"
    early = False
    # The step that it is about, if it is one.
    at = None
    # How often it is drawn, compared with others.
    weight = 2
    # The machine is restarted by it, or its services are: nobody can tell then whether hostler did it.
    restarts = False
    # hostler's process ends by it.
    ends = False

    def __init__(self, machine, chance: random.Random):
        self.machine = machine
        self.chance = chance
        self.detail = ""

    def inject(self, scene):
        """`scene` has `lab` and, once it runs, `verb`."""

    def undo(self):
        """What a person does about it; also what is due after a time. Safe to repeat."""

    def noticed(self, line):
        """Whether this line of the log names it, so that it can be undone while hostler waits."""
        return False

    def judge(self, verb):
        """What hostler should have said when `verb` was disturbed, and did not; else None."""
        return None

    def left(self):
        """What of it is still there once hostler says that there is nothing to do, though it should be mended; else None."""
        return None

    def __str__(self):
        at = f" on {self.machine}" if self.machine else ""
        return f"{self.kind}{at}{f' ({self.detail})' if self.detail else ''}"


class Passing(Fault):
    """A fault that goes away by itself."""

    seconds = (2, 6)

    def inject(self, scene):
        self.begin(scene)
        try:
            time.sleep(self.chance.uniform(*self.seconds))
        finally:
            self.undo()

    def begin(self, scene):
        raise NotImplementedError
