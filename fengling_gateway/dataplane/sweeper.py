"""Deadlines without timers.

A timer per request costs more than relaying a small answer's body. Whatever has
a deadline keeps it in a slot instead, and one sweep every 100 ms looks for
those that have passed: a deadline is late by at most that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

_log = Logger()

SWEEP_SECONDS: Final = 0.1

STALL_SECONDS: Final = 0.5
"""
From this long between two sweeps on, the process did not run: stopped, swapped out, its machine
paused. Nobody could have met a deadline meanwhile, and nobody's is shortened by it.
"""

NEVER: Final = float("inf")


class Swept(Protocol):
    """What has a deadline."""

    deadline: float

    def deadline_passed(self, now: float) -> None:
        """Act; called again at each sweep until the deadline has been moved."""


class Sweeper:
    """
    Looks after deadlines.

    Attributes:
        now: seconds on a clock of its own, at the last sweep. Deadlines are set
            from it, which spares reading the clock for every piece of a body. It
            goes as the reactor's does, but for stalls, which count as one sweep.
        items: whatever has a deadline. A sweep may add to it and take from it.
    """

    def __init__(self, *, clock: IReactorTime, swept: Callable[[float], None]) -> None:
        """Take the clock, and what to call after each sweep."""
        self._clock = clock
        self._swept = swept
        self._call: Any = None
        self.now = self._swept_at = clock.seconds()
        self.items: set[Swept] = set()

    def start(self) -> None:
        """Begin sweeping."""
        if self._call is None:
            self._sweep()

    def stop(self) -> None:
        """Sweep no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _sweep(self) -> None:
        self._call = self._clock.callLater(SWEEP_SECONDS, self._sweep)
        seconds = self._clock.seconds()
        passed = seconds - self._swept_at
        self._swept_at = seconds
        now = self.now = self.now + (passed if passed < STALL_SECONDS else SWEEP_SECONDS)
        for item in [item for item in self.items if item.deadline <= now]:
            if item.deadline > now:
                continue  # moved by what was done for another
            try:
                item.deadline_passed(now)
            except Exception:
                _log.failure(
                    "A deadline of {item} was not acted upon", item=item, log_id="deadline.failed"
                )
        self._swept(now)
