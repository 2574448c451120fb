#!/usr/bin/env python3
"""longest-path.py RUN [ALONE...]: how much longer a run of hostler took than the longest path over its steps' `needs`.

RUN and ALONE are what `--output json` of `up` or `add` printed: RUN has the plan, with every step's `needs`, and the time that each step
took; the log of a run has no needs, so it is not enough. The longest path is told twice:

- by the steps' times in RUN itself. What the run took beyond it is time in which nothing of that path ran: looking at machines, and handing
  on from step to step. It says nothing of steps that were slow because others ran at the same time.
- by the times of runs in which a step had the computer for itself, or nearly, as those of ALONE: the same machines, brought in one after
  the other. Where a step is in several, as the probe is, the longest counts: RUN's has to do for all machines what each of them did for one,
  side by side at best. Where it is in none, its time in RUN counts.

On a computer that has to be several machines at once the second is out of reach, as what runs side by side shares its cores: unless each machine
may have so little of them that there is enough for all.
"""

import json
import sys
from datetime import datetime


def events(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # What is meant for a person, on standard error.
            if isinstance(event, dict) and "event" in event:
                yield event


class Run:
    """The plans of a run, one a round, and what its steps took, in seconds."""

    def __init__(self, path):
        self.rounds, self.took, self.spans, begun = [], {}, [], {}
        self.whole = None
        for event in events(path):
            now = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
            step = event.get("step")
            match event["event"]:
                case "plan":
                    self.rounds.append(event["plan"]["steps"])
                case "stepStarted":
                    begun[step] = now
                case "stepFinished":
                    self.took[step] = event["took"]
                    self.spans.append((begun[step], now))
                case "stepFailed" | "stepBlocked":
                    sys.exit(f"{path}: {step} did not succeed: a run that broke off has no length")
                case "closing":
                    self.whole = event["took"]
                    self.end = now
        if self.whole is None or not self.rounds:
            sys.exit(f"{path} has no plan, or no end: is it what `hostler --output json` printed?")

    def before_and_after(self):
        """Seconds before the first step and after the last."""
        first = min(begin for begin, _ in self.spans) - (self.end - self.whole)
        return first, self.end - max(end for _, end in self.spans)


def longest_path(steps, took):
    """Its length and its steps. The plan's order respects `needs`, so one pass sees every step after those that it needs."""
    best = {}
    for step in steps:
        before = max((best[need] for need in step["needs"] if need in best), key=lambda path: path[0], default=(0, []))
        own = took.get(step["id"])
        best[step["id"]] = before if own is None else (before[0] + own, before[1] + [(step["id"], own)])
    return max(best.values(), key=lambda path: path[0], default=(0, []))


def whole_path(run, took):
    """Rounds come one after the other, so their paths add up."""
    paths = [longest_path(steps, took) for steps in run.rounds]
    return sum(length for length, _ in paths), [step for _, steps in paths for step in steps]


def tell(run, title, length, steps):
    print(f"{title}: {length:.1f} s; the run took {run.whole:.1f} s, {run.whole / length:.2f} of it")
    for step, took in steps:
        if took >= 0.5:
            print(f"  {took:6.1f}  {step}")
    short = [took for _, took in steps if took < 0.5]
    if short:
        print(f"  {sum(short):6.1f}  {len(short)} shorter than 0.5 s each")


def main(own, *others):
    run = Run(own)
    length, steps = whole_path(run, run.took)
    tell(run, "the longest path, by the times of this run", length, steps)
    before, after = run.before_and_after()
    between = run.whole - length - before - after
    print(f"  {before:6.1f}  before the first step of all, {after:.1f} after the last, {between:.1f} between steps of the path")
    if others:
        alone = {}
        for path in others:
            for step, took in Run(path).took.items():
                alone[step] = max(took, alone.get(step, 0))
        length, steps = whole_path(run, run.took | alone)
        tell(run, "the longest path, by times of steps that ran alone", length, steps)
        lent = [step for step, _ in steps if step not in alone]
        if lent:
            print(f"  of them by the times of this run: {', '.join(lent)}")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
