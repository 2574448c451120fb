#!/usr/bin/env python3
"""faults HOSTLER [SEED] [COUNT] [CONTROL_PLANES] [WORKERS]: faults at random moments of `up`, `add` and `rebuild`, on the lab's real machines.
faults HOSTLER years [SEED] [COUNT] [CONTROL_PLANES] [WORKERS]: the same with the verbs of a cluster's years, as years.py names them.
faults HOSTLER files [CONTROL_PLANES] [WORKERS]: every file that hostler and kubeadm put on a machine cut in half, one after the other.

As root; it draws rounds from SEED until at least COUNT faults (10) were injected. A round makes machines new or harms them, runs a verb,
and injects faults as its steps begin. Then `up`, or the way out that hostler names, is run until there is nothing left to do, and the
cluster must be as healthy as before, with what it kept, and no machine harmed that nothing happened to. Ends with a table, and with status
1 if something stayed broken, hung, panicked, told a secret, or was not said as it should be.

KEEP=1 leaves the lab up, and takes one that is up; RECORD=FILE appends every round to a file and makes the table of all that are in it.
What hostler said in a round that went wrong is kept in a folder that is named.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("HOSTLER_LAB", "faults")

import rounds  # noqa: E402
import table  # noqa: E402
import years  # noqa: E402
from machine import Lab  # noqa: E402
from scene import Scene  # noqa: E402
from secret import Secrets  # noqa: E402
from verb import SILENCE  # noqa: E402


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def cluster(lab, scene):
    """A healthy cluster, from whatever there is."""
    scene.power()
    verb = scene.run("up")
    if verb.status != 0 or scene.calm():
        say("the lab is made anew")
        scene.renew()


def campaign(hostler, draw, seed, count, planes, workers, work):
    """`seed`: or `files`, which no count ends. `draw`: what makes a round of a seed."""
    lab = Lab(hostler, planes, workers)
    keep = bool(os.environ.get("KEEP"))
    if not (keep and lab.is_up()):
        lab.up()
    record = Path(os.environ["RECORD"]) if "RECORD" in os.environ else work / "record"
    before = table.read(record)
    # That nothing that is installed is left out.
    scene = Scene(lab, work, "snapshots: {to: /var/backups/hostler}\n" if seed == "files" else "")
    secrets = Secrets()
    wrong = 0
    try:
        cluster(lab, scene)
        scene.mark()
        injected = 0
        each = rounds.every_file(lab) if seed == "files" else rounds.from_seed(seed, lab, before, count, draw)
        for number, round_ in enumerate(each, 1):
            name = f"{seed}.{number}"
            planned = ", ".join(f"{trigger.fault.kind} on {trigger.fault.machine}" for trigger in round_.all_triggers)
            say(f"round {name}: {' '.join(round_.words)}; new: {', '.join(map(str, round_.new)) or 'none'}; {planned}".rstrip("; "))
            result = rounds.play(round_, scene)
            result |= {"round": name, "planes": planes}
            secrets.learn(lab)
            leaks = secrets.told(scene.verbs)
            result["remarks"] += [f"told: {leak}" for leak in leaks]
            if result["silent"] > SILENCE:
                result["remarks"].append(f"silent for {result['silent']} s")
            injected += len(result["faults"])
            before.append(result)
            with record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            for fault in result["faults"]:
                detail = f" ({fault['detail']})" if fault["detail"] else ""
                say(f"    {fault['outcome']:<16} {fault['kind']}{detail} on {fault['machine']} at {fault['step']}")
            ways = f"; {', '.join(result['ways'])}" if result["ways"] else ""
            say(f"    status {result['status']} after {result['seconds']} s, {result['runs']} runs more{ways}; {result['all']} s in all; {injected} faults so far")
            if result["remarks"] or result["broken"]:
                wrong += 1
                folder = Path(tempfile.gettempdir()) / f"hostler-faults-{name}"
                scene.keep(folder)
                for remark in result["remarks"]:
                    say(f"    WRONG: {remark}")
                if result["broken"]:
                    say(f"    BROKEN: {result['broken']}")
                say(f"    what was said: {folder}")
            if result["broken"]:
                cluster(lab, scene)
                scene.mark()
            elif round_.name == "whole":
                scene.mark()
    finally:
        if not keep:
            lab.verb("down")
    print(table.text(before))
    say(f"seed {seed}: {injected} faults injected in {number} rounds, {wrong} rounds with something wrong; secrets looked for: {len(secrets.known)}")
    return wrong


def main():
    if len(sys.argv) < 2 or os.geteuid() != 0:
        sys.exit(__doc__)
    hostler = Path(sys.argv[1]).resolve()
    words = sys.argv[2:]
    draw = rounds.draw
    if words[:1] == ["years"]:
        draw = years.draw
        words.pop(0)
    seed = words[0] if words else str(time.time_ns() % 100000)
    given = [int(word) for word in words[1:]]
    if seed == "files":
        given.insert(0, 0)
    defaults = [10, 1, 3]
    count, planes, workers = given + defaults[len(given) :]
    say(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="hostler-faults-") as work:
        wrong = campaign(hostler, draw, seed, count, planes, workers, Path(work))
    sys.exit(1 if wrong else 0)


main()
