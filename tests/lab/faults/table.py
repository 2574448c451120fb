"""The table of a campaign: kinds, how many, and what came of them."""

import json
from collections import Counter

from scene import AGAIN, BROKEN, BY_ITSELF, WAY_OUT

OUTCOMES = [BY_ITSELF, AGAIN, WAY_OUT, BROKEN]


def read(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def faults(results):
    return [fault for result in results for fault in result["faults"]]


def counts(results):
    return Counter(fault["kind"] for fault in faults(results))


def rows(results, key):
    number = Counter((fault[key], fault["outcome"]) for fault in faults(results))
    names = sorted({fault[key] for fault in faults(results)})
    for name in names:
        each = [number[name, outcome] for outcome in OUTCOMES]
        yield [name, sum(each), *each]
    each = [sum(number[name, outcome] for name in names) for outcome in OUTCOMES]
    yield ["all", sum(each), *each]


def text(results):
    """For a person, as Markdown."""
    lines = []
    for key in ("kind", "verb"):
        lines += [f"| {key} | injected | {' | '.join(OUTCOMES)} |", f"|---|{'---:|' * (1 + len(OUTCOMES))}"]
        lines += [f"| {' | '.join(map(str, row))} |" for row in rows(results, key)]
        lines.append("")
    steps = {fault["step"].split("/")[-1] for fault in faults(results)}
    files = {fault["detail"] for fault in faults(results) if fault["kind"].startswith("half-written")}
    lines.append(f"at {len(steps)} different steps; {len(files)} different files half-written; {len(results)} rounds")
    return "\n".join(lines)
