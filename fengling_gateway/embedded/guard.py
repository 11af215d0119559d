"""Ends the programs that an owner started, once the owner is gone.

Run as a program (by path, with nothing but the standard library; its argument
is the owner's pid), it reads lines of JSON on its standard input:

- ``{"watch": pid, "signal": n, "grace": seconds}``: end this process and its
  family when the owner goes: first ``signal`` to the process, after ``grace``
  seconds SIGKILL to what is left;
- ``{"forget": pid}``: the owner has ended it itself;
- ``{"make": prefix, "within": path}``: make a directory (without ``within``: where
  temporary ones are), answer with a line that is ``{"made": path}`` or ``{"failed": reason}``, and
  delete it in the end. No order names a directory to delete: only what was made here is
  deleted here.

The owner has gone, in whatever way, kill -9 included, when the input ends. A
process that the owner forked may hold the input open: then it is the owner's
death that counts, once nobody has written for `_QUIET_SECONDS`.

A process is told from a later one with the same number by its start time.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

_POLL_SECONDS = 0.02
_QUIET_SECONDS = 1.0
"""A program that is being started tells of itself within milliseconds."""
_REMOVALS = 50


class Process(NamedTuple):
    """A line of the system's process table; `started` is opaque, and differs after reuse."""

    pid: int
    parent: int
    session: int
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
        int(pid): Process(int(pid), int(parent), _session(int(pid)), started)
        for pid, parent, state, started in rows
        if not state.startswith("Z")
    }


def _from_proc(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command's name stands in parentheses and may hold anything, half a character too.
    fields = stat.rpartition(b")")[2].decode().split()
    return None if fields[0] in "ZX" else Process(pid, int(fields[1]), int(fields[3]), fields[19])


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def tree(pid: int) -> list[Process]:
    """Return a process and its descendants, parents first; empty when it is gone."""
    table = processes()
    return _descendants([table[pid]] if pid in table else [], table)


def family(root: Process) -> list[Process]:
    """
    Return what of a process, its descendants and its session is alive, parents first.

    Who has lost its parent is still in the session, whose number nobody else
    gets as long as one is left in it.
    """
    table = processes()
    now = table.get(root.pid)
    if now is not None and now.started != root.started:
        return []
    first = [now] if now is not None else []
    return _descendants(
        [*first, *(one for one in table.values() if one.session == root.pid and one != now)], table
    )


def _descendants(found: list[Process], table: dict[int, Process]) -> list[Process]:
    known = {process.pid for process in found}
    for parent in found:
        children = [one for one in table.values() if one.parent == parent.pid]
        found.extend(child for child in children if child.pid not in known)
        known.update(child.pid for child in children)
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
    """
    End a process and its family, kindly first. Frozen ones are thawed to hear it.

    Who has outlived the process is not asked: it was the one to tell them.
    """
    targets = family(root)
    send(targets, signal.SIGCONT)
    send([root], number)
    pause = threading.Event()
    for _ in range(int(grace / _POLL_SECONDS) if alive([root]) else 0):
        if not alive(targets):
            return
        pause.wait(_POLL_SECONDS)
    send([*family(root), *targets], signal.SIGKILL)


def delete(directory: Path) -> None:
    """Delete a directory, again for a while if somebody in it is still writing its last files."""
    pause = threading.Event()
    for _ in range(_REMOVALS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        pause.wait(0.1)


def orders(owner: int) -> Iterator[bytes]:
    """Yield the lines that are written on the standard input until the owner has gone."""
    begun = b""
    while True:
        readable, _, _ = select.select([0], [], [], _QUIET_SECONDS)
        if readable:
            found = os.read(0, 65536)
            if not found:
                return
            *lines, begun = (begun + found).split(b"\n")
            yield from lines
        elif os.getppid() != owner:
            return


class Will:
    """What is to be ended and deleted once the owner has gone."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[Process, int, float]] = {}
        self._made: list[Path] = []

    def take(self, order: dict[str, Any]) -> None:
        """
        Do what an order says.

        Raises:
            ValueError: there is no such order.
        """
        match order:
            case {"watch": int(pid), "signal": int(number), "grace": int(grace) | float(grace)}:
                for root in tree(pid)[:1]:
                    self._watched[pid] = (root, number, grace)
            case {"forget": int(pid)}:
                self._watched.pop(pid, None)
            case {"make": str(prefix)}:
                made = self._make(prefix, order.get("within"))
                answer = json.dumps(made).encode() + b"\n"
                with suppress(BrokenPipeError):  # the owner has gone meanwhile
                    os.write(1, answer)
            case _:
                raise ValueError(f"no such order: {order}")

    def execute(self) -> None:
        """Last started, first ended: what depends on a database goes before it."""
        for root, number, grace in reversed(self._watched.values()):
            with _told():
                end(root, number, grace)
        for directory in self._made:
            with _told():
                delete(directory)

    def _make(self, prefix: str, within: str | None) -> dict[str, str]:
        try:
            directory = Path(tempfile.mkdtemp(prefix=prefix, dir=within)).absolute()
        except OSError as error:
            return {"failed": str(error)}
        self._made.append(directory)
        # Others may pass through it but not list it: PostgreSQL runs as another
        # user when we are root.
        directory.chmod(0o711)
        return {"made": str(directory)}


@contextmanager
def _told() -> Iterator[None]:
    """Nothing that goes wrong with one thing keeps us from the next."""
    try:
        yield
    except Exception:
        traceback.print_exc()


def main(owner: int) -> None:
    will = Will()
    for line in orders(owner):
        with _told():
            will.take(json.loads(line))
    os.close(0)  # a program that would tell of itself now does not start
    will.execute()


if __name__ == "__main__":
    # Ctrl-C, a hang-up or a shutdown reach our owner too; our business comes after it.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    main(int(sys.argv[1]))
