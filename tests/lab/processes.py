#!/usr/bin/env python3
"""processes.py FILE: writes the arguments and the environment of every process that runs into FILE, as root, until it is ended.

One line each: `arguments of NAME (PID): ...` or `environment of NAME (PID): ...`; what was seen before is not written again. The
kernel tells of every new program (the process connector), so that one that lives a millisecond is seen; besides, all of /proc is
read again and again, for processes that change what they show. Machines of the lab are namespaces of this computer: their
processes are in its /proc.
"""

import os
import signal
import socket
import struct
import sys
import time

# From asm-generic/socket.h, linux/netlink.h, linux/connector.h and linux/cn_proc.h.
SO_RCVBUFFORCE = 33
NETLINK_CONNECTOR = 11
CN_IDX_PROC = CN_VAL_PROC = 1
PROC_CN_MCAST_LISTEN = 1
PROC_EVENT_EXEC = 2
HEADERS = 16 + 20  # struct nlmsghdr, struct cn_msg
EVENT = struct.Struct("=IIQII")  # what, cpu, timestamp, process_pid, process_tgid

# Seconds between two readings of all of /proc.
EVERY = 0.1


def listen():
    connector = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
    connector.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    connector.bind((os.getpid(), CN_IDX_PROC))
    body = struct.pack("=I", PROC_CN_MCAST_LISTEN)
    message = struct.pack("=IIIIHH", CN_IDX_PROC, CN_VAL_PROC, 0, 0, len(body), 0) + body
    connector.send(struct.pack("=IHHII", 16 + len(message), 3, 0, 0, os.getpid()) + message)
    return connector


def read(process, name):
    try:
        with open(f"/proc/{process}/{name}", "rb") as file:
            return file.read()
    except OSError:
        # It ended.
        return b""


def main():
    seen = set()
    with open(sys.argv[1], "wb", buffering=0, opener=lambda path, flags: os.open(path, flags, 0o600)) as file:

        def look(process):
            shown = [(kind, read(process, name)) for kind, name in (("arguments", "cmdline"), ("environment", "environ"))]
            for kind, text in shown:
                if text and (kind, text) not in seen:
                    seen.add((kind, text))
                    who = read(process, "comm").decode(errors="replace").strip()
                    flat = text.rstrip(b"\0").replace(b"\n", b"\\n").replace(b"\0", b" ")
                    file.write(f"{kind} of {who} ({process}): ".encode() + flat + b"\n")

        connector = listen()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        connector.settimeout(EVERY)
        due = 0.0
        while True:
            if time.monotonic() >= due:
                for process in os.listdir("/proc"):
                    if process.isdigit():
                        look(process)
                due = time.monotonic() + EVERY
            try:
                message = connector.recv(65536)
            except TimeoutError:
                continue
            what, _, _, _, process = EVENT.unpack_from(message, HEADERS)
            if what == PROC_EVENT_EXEC:
                look(process)


main()
