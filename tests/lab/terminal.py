#!/usr/bin/env python3
"""terminal.py SHOWN STDOUT PROMPT ANSWER COMMAND...: runs a command on a terminal of its own.

What the terminal shows goes to the file SHOWN; the command's standard output goes to the file STDOUT, or to the terminal where that
is `-`. Whenever the terminal shows PROMPT, it must not show what is typed any more; the first line of the file ANSWER is typed then, and is
in no argument. Ends with the command's status, or with 99 where the terminal would have shown the answer.
"""

import os
import pty
import sys
import termios


def main():
    shown, stdout, prompt, answer, *command = sys.argv[1:]
    with open(answer, "rb") as file:
        line = file.readline().rstrip(b"\n") + b"\n"
    process, terminal = pty.fork()
    if process == 0:
        if stdout != "-":
            os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.execvp(command[0], command)
    with open(shown, "wb", buffering=0) as file:
        pending = b""
        while True:
            try:
                some = os.read(terminal, 65536)
            except OSError:
                break  # EIO: nobody has the terminal open any more.
            if not some:
                break
            file.write(some)
            pending += some
            before, found, after = pending.partition(prompt.encode())
            if found:
                if termios.tcgetattr(terminal)[3] & termios.ECHO:
                    sys.exit(99)
                os.write(terminal, line)
                pending = after
            else:
                pending = before[-len(prompt) :]
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) & 0xFF)


main()
