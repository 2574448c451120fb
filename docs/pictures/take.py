#!/usr/bin/python3
"""take.py HOSTLER: takes the pictures of the README anew, as root; python3-pyte and python3-rich are Debian packages.

lab-up.svg is what a terminal of 100 columns shows of a real `hostler lab up`: its beginning with the plan, and its end. films.png is the status page in a real browser,
with films as a test of it made them (tests/transcode/looks.rs).
"""

import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import sys
import fcntl
import termios

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
COLUMNS = 100
# Of a terminal. What scrolled off it is in the picture, too.
LINES = 40
LAB = {**os.environ, "HOSTLER_LAB": "picture", "TERM": "xterm-256color"}


def shown(command):
    """What a terminal shows when the command has ended, as lines of characters with their colors."""
    screen = pyte.HistoryScreen(COLUMNS, LINES, history=1000)
    stream = pyte.ByteStream(screen)
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(command[0], command, LAB)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    while True:
        try:
            some = os.read(terminal, 65536)
        except OSError:
            break  # EIO: the command has ended.
        if not some:
            break
        stream.feed(some)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    lines = list(screen.history.top) + [screen.buffer[line] for line in range(LINES)]
    return status, lines


def color(name):
    """pyte's name of a color, as rich has it; pyte calls yellow brown."""
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name)


def text(line):
    whole = Text()
    for column in range(COLUMNS):
        cell = line[column]
        whole.append(cell.data, Style(color=color(cell.fg), bold=cell.bold, reverse=cell.reverse))
    whole.rstrip()
    return whole


def lab_up(hostler):
    subprocess.run([hostler, "lab", "down"], env=LAB, check=True)
    status, lines = shown([hostler, "lab", "up"])
    subprocess.run([hostler, "lab", "down"], env=LAB, check=True)
    if status != 0:
        sys.exit(f"`hostler lab up` ended with status {status}")
    texts = [text(line) for line in lines]
    while texts and not texts[-1].plain:
        texts.pop()
    # In between, each step has a line of its own when it is done.
    plain = [line.plain for line in texts]
    planned = next(number for number, line in enumerate(plain) if line.strip().endswith("its reason"))
    nodes = next(number for number, line in enumerate(plain) if line.startswith("NODE "))
    texts = texts[: planned + 4] + [Text("⋮")] + texts[nodes - 4 :]
    console = Console(width=COLUMNS, record=True, file=open(os.devnull, "w"), force_terminal=True, color_system="truecolor")
    console.print(Text("$ hostler lab up", Style(bold=True)))
    for line in texts:
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
    svg = console.export_svg(title="hostler lab up")
    # A picture that fetches fonts from elsewhere is not shown by everyone.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)
    (FOLDER / "lab-up.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


def films():
    subprocess.run(["cargo", "test", "--profile", "ci", "--test", "transcode", "a_person_sees"], cwd=ROOT, check=True)
    pictures = sorted(ROOT.glob("target/**/pictures/screen-day.png"), key=lambda picture: picture.stat().st_mtime)
    shutil.copyfile(pictures[-1], FOLDER / "films.png")


lab_up(os.path.realpath(sys.argv[1]))
films()
