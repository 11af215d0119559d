"""Requests to a running quickstart: stop a server, start it again, name a process.

A request is a line written into a named pipe, so that a shell can make one too:
``echo 'stop postgres' > .quickstart/control``.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SERVERS: Final = ("postgres", "redis")


@dataclass(frozen=True)
class Request:
    """Somebody wants a server to be started or stopped."""

    action: str
    server: str


def parse_request(line: str) -> Request | None:
    """Read ``stop postgres`` and the like; None for anything else."""
    words = line.split()
    if len(words) == 2 and words[0] in ("start", "stop") and words[1] in SERVERS:
        return Request(words[0], words[1])
    return None


class ControlReader(threading.Thread):
    """Puts what is written into the pipe into a queue."""

    def __init__(self, pipe: Path, seen: queue.Queue[Any]) -> None:
        super().__init__(daemon=True, name="control")
        self._pipe = pipe
        self._seen = seen

    def run(self) -> None:
        # Opened for writing too: the pipe then has no end when a writer leaves.
        descriptor = os.open(self._pipe, os.O_RDWR)
        with os.fdopen(descriptor) as lines:
            for line in lines:
                request = parse_request(line)
                if request is not None:
                    self._seen.put(request)


def send_request(pipe: Path, request: Request) -> None:
    """Write a request; exits with a message when no quickstart is running."""
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO):
            sys.exit("no quickstart is running here")
        raise
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{request.action} {request.server}\n")


def print_pid(state_file: Path, name: str) -> None:
    """Print the pid of a program of the quickstart; for ``worker``, that of the first one."""
    try:
        pids = json.loads(state_file.read_text())["pids"]
    except (OSError, ValueError, KeyError):
        sys.exit("no quickstart is running here")
    found = pids.get("workers", [])[:1] if name == "worker" else [pids.get(name)]
    if not found or not isinstance(found[0], int):
        sys.exit(f"no {name} is running; there are: {', '.join(['worker', *sorted(pids)])}")
    print(found[0])
