"""How much memory a process may use, how much it does, and giving back what is free of it.

Linux only; elsewhere nobody knows, and None is what these return.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUPS: Final = Path("/proc/self/cgroup")
STATM: Final = "/proc/self/statm"

SUPERVISOR_BYTES: Final = 512 * 1024 * 1024
"""Left to the supervisor, which holds the configuration too; a quarter where that is less."""

LEAST_WORKER_BYTES: Final = 128 * 1024 * 1024
"""
No share is less: a worker has 50 MiB when it starts, of which all share 20.

Where many workers have little memory, by shares alone none would ever serve anybody.
"""


def share_of_worker(workers: int, whole: int | None) -> int | None:
    """
    Return what each of so many workers may use.

    Args:
        whole: what they and their supervisor have; None: unknown.
    """
    if whole is None or workers <= 1:
        return whole  # the only worker is in the supervisor's process
    share = (whole - min(SUPERVISOR_BYTES, whole // 4)) // workers
    return min(whole, max(share, LEAST_WORKER_BYTES))


def whole_memory(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int | None:
    """Return how many bytes the control groups (version 2 or 1) or the machine leave to us."""
    limits = list(_group_limits(cgroups, own))
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError):
        pass
    return min((one for one in limits if one > 0), default=None)


def _group_limits(cgroups: Path, own: Path) -> Iterator[int]:
    """Yield the limits of our group and of those around it."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = cgroups / "memory" if controllers else cgroups
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        group = root / path.lstrip("/")
        # In a container the path may be that of the host, and its root is ours.
        for directory in (group, *group.parents):
            if directory.is_relative_to(root):
                yield from _limit(directory / name)


def _limit(file: Path) -> Iterator[int]:
    try:
        yield int(file.read_text())
    except (OSError, ValueError):  # none, or "max"
        return


class ResidentMemory:
    """Reads how much memory this process has, without opening a file for it each time."""

    def __init__(self, statm: str = STATM) -> None:
        try:
            self._statm: int | None = os.open(statm, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._statm = None
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def __call__(self) -> int | None:
        """Return its resident set in bytes."""
        if self._statm is None:
            return None
        try:
            return int(os.pread(self._statm, 100, 0).split()[1]) * self._page_bytes
        except (OSError, IndexError, ValueError):
            return None

    def close(self) -> None:
        if self._statm is not None:
            os.close(self._statm)
            self._statm = None


def trimmer() -> Callable[[], None] | None:
    """
    Return what gives the pages that are free in the heap back to the system.

    glibc keeps those in its midst, which is most of them after a burst. None
    where the C library has no such function.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    trim.argtypes = [ctypes.c_size_t]
    trim.restype = ctypes.c_int

    def release() -> None:
        trim(0)

    return release
