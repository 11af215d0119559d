"""What ``/proc`` says of a tree of processes: who belongs to it, and the CPU it has used.

Linux only. The parsers are pure; the readers at the end touch the file system.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ProcessRecord(NamedTuple):
    """One process. ``started`` (clock ticks since boot) tells it from a later user of its pid."""

    pid: int
    parent: int
    session: int
    cpu_ticks: int
    started: int


def parse_stat(text: str) -> ProcessRecord:
    """
    Read one line of ``/proc/PID/stat``.

    The command name is in parentheses and may itself hold spaces and
    parentheses, so fields are counted from the last closing one.
    """
    pid, _, rest = text.partition(" ")
    fields = rest[rest.rindex(")") + 2 :].split()
    return ProcessRecord(
        pid=int(pid),
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        started=int(fields[19]),
    )


def tree_of(root: int, processes: Iterable[ProcessRecord]) -> list[ProcessRecord]:
    """Pick `root`, its descendants, and whatever else runs in the session that `root` leads."""
    everyone = {process.pid: process for process in processes}
    members = {pid for pid, process in everyone.items() if root in (pid, process.session)}
    grown = True
    while grown:
        children = {p.pid for p in everyone.values() if p.parent in members} - members
        members |= children
        grown = bool(children)
    return [everyone[pid] for pid in sorted(members)]


def read_processes() -> list[ProcessRecord]:
    """Every process that can be read now; those that end meanwhile are left out."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found.append(parse_stat(Path("/proc", entry, "stat").read_text()))
            except (OSError, ValueError):
                continue
    return found


def read_tree(root: int) -> list[ProcessRecord]:
    return tree_of(root, read_processes())


def cpu_seconds(root: int) -> float:
    """User and system time of the whole tree so far, in seconds (to one clock tick)."""
    return sum(process.cpu_ticks for process in read_tree(root)) / _TICKS_PER_SECOND


def process_cpu_seconds(pid: int) -> float:
    """
    User and system time of one process so far, of all its threads, to a nanosecond.

    Raises:
        OSError: there is no such process.
    """
    # Its clock's number, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime((~pid << 3) | 2)


def waited_seconds(pid: int) -> float:
    """
    For how long the main thread of a process had work and no core so far.

    Raises:
        OSError: there is no such process.
    """
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def resident_bytes(pid: int) -> int:
    """Proportional set size of one process: shared pages count by their share. 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def whole_resident_bytes(pid: int) -> int:
    """Resident set size of one process, shared pages counted as if its own. 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * _PAGE_BYTES


def count_established(table: str, port: int) -> int:
    """How many connections that were opened to this port a /proc/net/tcp shows."""
    local, open_now = f":{port:04X}", "01"
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(row[1].endswith(local) and row[3] == open_now for row in rows)


def established(port: int) -> int:
    """How many there are now, by IPv4; those that nobody has accepted yet are among them."""
    return count_established(Path("/proc/net/tcp").read_text(), port)
