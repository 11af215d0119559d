"""What a process of ours has used of its host: CPU, memory, descriptors, time for garbage."""

from __future__ import annotations

import gc
import os
import resource
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

_PROCESS: Final = Path("/proc/self")

LISTED_AT_ONCE: Final = 1000
"""Descriptors that are counted at a time where the system doesn't say how many there are: 1 ms."""


def resident_bytes(process: Path = _PROCESS) -> int | None:
    """Return the resident memory of this process; None on systems that don't tell."""
    try:
        pages = int((process / "statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


class OpenDescriptors:
    """
    Counts those of this process, never many at a time.

    From Linux 6.2 on the kernel says how many there are. Before, they are listed: beyond
    `LISTED_AT_ONCE` the number is that of some calls ago.

    Args:
        place: where they are listed.
        told: what the kernel says; 0 where it does not.
    """

    def __init__(
        self,
        place: Path = _PROCESS / "fd",
        told: Callable[[Path], int] = lambda place: place.stat().st_size,
    ) -> None:
        self._place = place
        self._told = told
        self._listing: Iterator[os.DirEntry[str]] | None = None
        self._seen = 0
        self._known: int | None = None

    def count(self) -> int | None:
        """Return how many are open; None on systems that don't tell."""
        try:
            return self._told(self._place) or self._listed()
        except OSError:
            return None

    def _listed(self) -> int | None:
        if self._listing is None:
            self._listing, self._seen = os.scandir(self._place), 0
        some = sum(1 for _ in islice(self._listing, LISTED_AT_ONCE))
        self._seen += some
        if some < LISTED_AT_ONCE:
            self._listing = None
            self._known = self._seen - 1  # the one by which we looked
        return self._known if self._known is not None else self._seen


class ProcessCosts:
    """
    What this process has used since it began; of collections, since `start`.

    There is one in a process: it is told by the interpreter of each collection.
    """

    def __init__(self) -> None:
        self._descriptors = OpenDescriptors()
        self._collecting_since = 0.0
        self._pause_seconds = 0.0

    def __repr__(self) -> str:
        return f"<ProcessCosts of {os.getpid()}>"

    def start(self) -> None:
        gc.callbacks.append(self._collected)

    def stop(self) -> None:
        if self._collected in gc.callbacks:
            gc.callbacks.remove(self._collected)

    def to_json(self) -> dict[str, Any]:
        """Return all of it; takes a tenth of a millisecond. What the system doesn't tell is None."""
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return {
            "cpu_seconds": time.process_time(),
            "resident_bytes": resident_bytes(),
            "open_fds": self._descriptors.count(),
            "max_fds": None if most == resource.RLIM_INFINITY else most,
            "collections": [one["collections"] for one in gc.get_stats()],
            "pause_seconds": self._pause_seconds,
        }

    def _collected(self, phase: str, _about: dict[str, int]) -> None:
        """Hear from the interpreter that a collection begins, or has ended."""
        if phase == "start":
            self._collecting_since = time.perf_counter()
        elif self._collecting_since:
            self._pause_seconds += time.perf_counter() - self._collecting_since
