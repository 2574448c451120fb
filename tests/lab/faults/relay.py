#!/usr/bin/env python3
"""relay.py FILE COMMAND...: the command's input and output, each chunk as many seconds late as FILE says at that moment; where there is no
such file, at once. For a ProxyCommand: a machine that is far away."""

import os
import subprocess
import sys
import threading
import time
from queue import SimpleQueue


def delay(path):
    try:
        with open(path, encoding="ascii") as file:
            return float(file.read())
    except (OSError, ValueError):
        return 0.0


def pass_on(path, source, sink):
    """Reads at once and writes late, so that what is on its way is as much as on a long line."""
    queue = SimpleQueue()

    def write():
        while True:
            due, some = queue.get()
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if not some:
                os.close(sink)
                return
            while some:
                try:
                    some = some[os.write(sink, some) :]
                except OSError:
                    return

    threading.Thread(target=write, daemon=True).start()
    while True:
        # A line holds a megabyte at most.
        while queue.qsize() > 16:
            time.sleep(0.01)
        some = os.read(source, 65536)
        queue.put((time.monotonic() + delay(path), some))
        if not some:
            return


def main():
    path, *command = sys.argv[1:]
    far = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    threading.Thread(target=pass_on, args=(path, 0, os.dup(far.stdin.fileno())), daemon=True).start()
    far.stdin.close()
    back = threading.Thread(target=pass_on, args=(path, far.stdout.fileno(), os.dup(1)))
    back.start()
    status = far.wait()
    back.join(5)
    sys.exit(status)


main()
