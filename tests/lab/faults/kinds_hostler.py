"""Faults of hostler's own process."""

import time

from kind import Fault


class Killed(Fault):
    kind = "hostler killed with -9"
    where = "hostler"
    ends = True
    weight = 4

    def inject(self, scene):
        scene.verb.kill()


class BrokenOff(Fault):
    """hostler is interrupted, and reports at once what was not finished, whatever its machines do."""

    where = "hostler"
    ends = True
    weight = 3

    def inject(self, scene):
        self.at = time.monotonic()
        self.tell(scene.verb)

    def judge(self, verb):
        if verb.status == 0:
            return None
        took = verb.begun + verb.took - self.at
        if took > 5:
            return f"it took {took:.0f} s to end"
        said = verb.log if verb.closed else verb.shown
        if "interrupted: " not in said:
            return "it does not say that it was interrupted"
        if any("  started: " in line for line in verb.lines) and not any(words in said for words in ("not finished:", "no step was running", "nothing was started")):
            return "it does not say what was not finished"
        return None


class CtrlC(BrokenOff):
    kind = "Ctrl-C"

    def tell(self, verb):
        verb.interrupt()


class TerminalClosed(BrokenOff):
    kind = "terminal closed"

    def tell(self, verb):
        verb.hang_up()


KINDS = [Killed, CtrlC, TerminalClosed]
