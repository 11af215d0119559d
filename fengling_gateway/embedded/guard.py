"""Ends the programs that an owner started, once the owner is gone.

Run as a program (by path, with nothing but the standard library), it reads
lines of JSON on its standard input:

- ``{"watch": pid, "signal": n, "grace": seconds}``: end this process and its
  descendants when the owner goes: first ``signal`` to the process, after
  ``grace`` seconds SIGKILL to what is left;
- ``{"forget": pid}``: the owner has ended it itself;
- ``{"remove": path}``: delete this directory in the end.

End of file means that the owner has gone, in whatever way: kill -9 included.
A process is told from a later one with the same number by its start time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

_POLL_SECONDS = 0.02
_REMOVALS = 50


class Process(NamedTuple):
    """A line of the system's process table; `started` is opaque, and differs after reuse."""

    pid: int
    parent: int
    started: str


def processes() -> dict[int, Process]:
    """Return every process that is alive, zombies left out."""
    if Path("/proc/self/stat").exists():
        found = (_from_proc(int(name)) for name in os.listdir("/proc") if name.isdigit())
        return {process.pid: process for process in found if process is not None}
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,lstart="], capture_output=True, text=True, check=True
    )
    rows = (line.split(None, 3) for line in listing.stdout.splitlines())
    return {
        int(pid): Process(int(pid), int(parent), started)
        for pid, parent, state, started in rows
        if not state.startswith("Z")
    }


def _from_proc(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name stands in parentheses and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Process(pid, int(fields[1]), fields[19])


def tree(pid: int) -> list[Process]:
    """Return a process and its descendants, parents first; empty when it is gone."""
    table = processes()
    found = [table[pid]] if pid in table else []
    for parent in found:
        found.extend(child for child in table.values() if child.parent == parent.pid)
    return found


def send(targets: list[Process], number: int) -> None:
    """Send a signal to those of `targets` that are still the same process."""
    table = processes()
    for target in targets:
        now = table.get(target.pid)
        if now is not None and now.started == target.started:
            try:
                os.kill(target.pid, number)
            except (ProcessLookupError, PermissionError):
                pass


def alive(targets: list[Process]) -> list[Process]:
    """Return those of `targets` that have not ended."""
    table = processes()
    return [
        target
        for target in targets
        if target.pid in table and table[target.pid].started == target.started
    ]


def end(root: Process, number: int, grace: float) -> None:
    """End a process and its descendants, kindly first. Frozen ones are thawed to hear it."""
    if not alive([root]):
        return
    targets = tree(root.pid)
    send(targets, signal.SIGCONT)
    send([root], number)
    pause = threading.Event()
    for _ in range(int(grace / _POLL_SECONDS)):
        if not alive(targets):
            return
        pause.wait(_POLL_SECONDS)
    send(alive(targets), signal.SIGKILL)


def remove(directory: Path) -> None:
    """Delete a directory, again for a while if somebody in it is still writing its last files."""
    pause = threading.Event()
    for _ in range(_REMOVALS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        pause.wait(0.1)


def main() -> None:
    watched: dict[int, tuple[Process, int, float]] = {}
    doomed: list[str] = []
    for line in sys.stdin:
        order = json.loads(line)
        if "watch" in order:
            found = tree(order["watch"])[:1]
            watched.update((root.pid, (root, order["signal"], order["grace"])) for root in found)
        elif "forget" in order:
            watched.pop(order["forget"], None)
        elif "remove" in order:
            doomed.append(order["remove"])
    # Last started, first ended: what depends on a database goes before it.
    for root, number, grace in reversed(watched.values()):
        end(root, number, grace)
    for path in doomed:
        remove(Path(path))


if __name__ == "__main__":
    # Ctrl-C reaches the whole terminal; the guard's business comes after it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
