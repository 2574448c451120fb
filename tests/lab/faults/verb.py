"""A verb of hostler as a person runs it: on a terminal of its own, watched by its log."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time
from pathlib import Path

from machine import Failed

# Every wait of hostler is named and limited. The longest limit is 15 minutes: apt's lock, another hostler's script. What is injected here
# is undone as soon as hostler names it, but for a machine that is gone, which a step waits for 5 minutes: who goes on for longer than
# this hangs.
LIMIT = 12 * 60
# Something has to be seen at least so often, in seconds: by its own word after 5.
SILENCE = 45
BEGINS = re.compile(r"^\d\d:\d\d:\d\d\.\d+  (\S+)/(\S+)  started: ")
LOOKS = re.compile(r"^\d\d:\d\d:\d\d\.\d+  (\S+)  gathering facts$")


class Verb:
    """hostler, while it runs and after. `on_line(line)` is called with every line of its log, `on_begin(machine, step)` as steps begin."""

    def __init__(self, home, hostler, words, plain, on_line=None, on_begin=None):
        self.words = [str(word) for word in words]
        self.text = b""
        self.lines = []
        self.status = None
        self.hung = False
        self.silent = 0.0
        self.begun = time.monotonic()
        self.took = 0.0
        self.closed = False
        self._said = time.monotonic()
        self._plain = plain
        self._on_line, self._on_begin = on_line, on_begin
        self._runs = Path(home) / ".local/state/hostler/runs"
        self.process, self._terminal = pty.fork()
        if self.process == 0:
            # As in a person's shell, wherever this program itself was begun.
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            keep = {name: os.environ[name] for name in ("PATH", "HOSTLER_CACHE", "HOSTLER_LAB") if name in os.environ}
            environment = {**keep, "HOME": str(home), "TERM": "dumb" if plain else "xterm", "LANG": "C.UTF-8"}
            os.execve(hostler, [str(hostler), *self.words], environment)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _watch(self):
        log = rest = None
        while True:
            self._read(0.05)
            # Before the log is read, so that nothing of it is missed.
            ended = self._ended()
            log = log or self._log()
            if log:
                rest = self._follow(log, rest or "")
            if ended:
                break
            if time.monotonic() - self.begun > LIMIT and not self.hung:
                self.hung = True
                os.kill(self.process, signal.SIGKILL)
        self.took = time.monotonic() - self.begun
        if log:
            log.close()

    def _read(self, seconds):
        if self.closed:
            self._close()
            time.sleep(seconds)
            return
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if ready:
            try:
                self.text += os.read(self._terminal, 65536)
            except OSError:
                # EIO: it has ended.
                time.sleep(seconds)
            now = time.monotonic()
            if self._plain:
                self.silent = max(self.silent, now - self._said)
            self._said = now

    def _ended(self):
        if self.status is None:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                self.status = os.waitstatus_to_exitcode(status)
                while not self.closed and select.select([self._terminal], [], [], 0)[0]:
                    try:
                        self.text += os.read(self._terminal, 65536)
                    except OSError:
                        break
        return self.status is not None

    def _log(self):
        for path in sorted(self._runs.glob("*.log"), reverse=True)[:3]:
            file = path.open(encoding="utf-8", errors="replace")
            if file.readline().endswith(f", process {self.process}\n"):
                return file
            file.close()
        return None

    def _follow(self, log, rest):
        rest += log.read()
        *lines, rest = rest.split("\n")
        for line in lines:
            self.lines.append(line)
            if self._on_line:
                self._on_line(line)
            begins = BEGINS.match(line)
            looks = LOOKS.match(line)
            if self._on_begin and begins:
                self._on_begin(*begins.groups())
            elif self._on_begin and looks:
                self._on_begin(looks[1], "look")
        return rest

    def kill(self):
        os.kill(self.process, signal.SIGKILL)

    def interrupt(self):
        """Ctrl-C, as a terminal gives it to whoever runs in front."""
        os.write(self._terminal, b"\x03")

    def hang_up(self):
        """Has the terminal closed, by who reads it: it must not be closed, and its number given to another file, while it is waited for."""
        self.closed = True

    def _close(self):
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def wait(self):
        self._watching.join(LIMIT + 60)
        if self._watching.is_alive():
            raise Failed(f"hostler {' '.join(self.words)} can't be ended")
        self._close()
        return self

    @property
    def shown(self):
        """What the terminal showed, without what only moves the cursor or paints."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text.decode(errors="replace")).replace("\r\n", "\n").replace("\r", "\n")

    @property
    def log(self):
        return "\n".join(self.lines)

    def says(self, text):
        return text in self.shown or text in self.log
