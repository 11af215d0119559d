"""A `Schedule` that runs: it says whose turn it is when it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from fengling_gateway.health.schedule import Schedule
from fengling_gateway.health.targets import Target


class Turns:
    """
    Args:
        clock: with calls.
        limit: probes under way at a time.
        begin: called for each instance whose turn it is, which is under way from then on.
    """

    def __init__(
        self, *, clock: Any, rng: Random, limit: int, begin: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._limit = limit
        self._begin = begin
        self._schedule = Schedule(rng, limit)
        self._call: Any = None

    def __repr__(self) -> str:
        return f"<Turns by {self._schedule}>"

    def clear(self) -> None:
        """Nobody has a turn any more, and nothing is under way."""
        self._schedule = Schedule(self._rng, self._limit)
        self._plan()

    def add(self, targets: Iterable[Target]) -> None:
        by_interval: dict[float, list[str]] = {}
        for target in targets:
            by_interval.setdefault(target.check.interval, []).append(target.id)
        for interval, names in by_interval.items():
            self._schedule.add(names, interval, self._clock.seconds())
        self._plan()

    def remove(self, name: str) -> None:
        self._schedule.remove(name)
        self._plan()

    def ended(self, name: str, pause: float, jitter: float) -> None:
        """Note that a probe is over; see `Schedule.ended`."""
        self._schedule.ended(name, pause, jitter, self._clock.seconds())
        self._plan()

    def hasten(self, name: str) -> None:
        """Have an instance probed at once."""
        self._schedule.hasten(name, self._clock.seconds())
        self._plan()

    def no_later_than(self, name: str, pause: float) -> None:
        """Have it probed within so many seconds."""
        now = self._clock.seconds()
        self._schedule.no_later_than(name, now + pause, now)
        self._plan()

    def next_probe(self, name: str) -> float | None:
        """Return in how many seconds it is probed; None while it is."""
        due = self._schedule.next_probe(name)
        return None if due is None else max(0.0, due - self._clock.seconds())

    def _plan(self) -> None:
        at = self._schedule.wake_at()
        if self._call is not None:
            if at is not None and self._call.getTime() <= at:
                return  # (which looks again)
            self._call.cancel()
            self._call = None
        if at is not None:
            self._call = self._clock.callLater(max(0.0, at - self._clock.seconds()), self._run)

    def _run(self) -> None:
        self._call = None
        for name in self._schedule.take(self._clock.seconds()):
            self._begin(name)
        self._plan()
