"""
Whom to probe when. Pure: the time is passed in.

Starts are spread, pauses jittered, and at most so many probes are under way.
What is due waits in the order in which it became due; an instance is never
probed twice at once. Pauses count from the beginning of a probe, so that a slow
answer makes nobody's verdict slower.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

SPREAD_SECONDS: Final = 0.01
"""Between the first probes of instances that appear together, on average, if intervals allow."""

HASTE_SECONDS: Final = 0.5
"""
At least so long after the beginning of one probe comes another that somebody wants at once.

A thousand workers that report the same must not become a thousand probes.
"""


@dataclass(slots=True)
class _Turn:
    """
    One instance's place.

    Attributes:
        due: when it is to be probed; None while that is under way.
        began: when it was last.
        is_wanted: whether it is to be probed again as soon as that has ended.
    """

    due: float | None
    began: float | None = None
    is_wanted: bool = False


class Schedule:
    """
    Keeps turns.

    Args:
        limit: probes under way at a time.
    """

    def __init__(self, rng: Random, limit: int) -> None:
        self._rng = rng
        self._limit = limit
        self._turns: dict[str, _Turn] = {}
        self._under_way = 0
        # Entries whose time is not that of the turn (any more) are passed over.
        self._heap: list[tuple[float, str]] = []

    def __repr__(self) -> str:
        return f"<Schedule of {len(self._turns)}, {self._under_way} under way>"

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, name: str) -> bool:
        return name in self._turns

    @property
    def under_way(self) -> int:
        return self._under_way

    def next_probe(self, name: str) -> float | None:
        """Return when it is due; None while it is under way, or not to be at all."""
        turn = self._turns.get(name)
        return None if turn is None else turn.due

    def add(self, names: Iterable[str], interval: float, now: float) -> None:
        """Have instances probed that are not yet; all of them within the interval."""
        new = [name for name in names if name not in self._turns]
        spread = min(interval, SPREAD_SECONDS * (len(new) - 1))
        for name in new:
            self._turns[name] = _Turn(None)
            self._put(name, now + self._rng.uniform(0.0, spread))

    def remove(self, name: str) -> None:
        """Probe it no more. One under way is over with that; `ended` need not be told."""
        turn = self._turns.pop(name, None)
        if turn is not None and turn.due is None:
            self._under_way -= 1

    def take(self, now: float) -> list[str]:
        """Return whom to probe now, in order; they are under way from here on."""
        taken = []
        heap = self._heap
        while heap and heap[0][0] <= now and self._under_way < self._limit:
            at, name = heapq.heappop(heap)
            turn = self._turns.get(name)
            if turn is None or turn.due != at:
                continue
            turn.due, turn.began, turn.is_wanted = None, now, False
            self._under_way += 1
            taken.append(name)
        return taken

    def wake_at(self) -> float | None:
        """Return when `take` may have something to return; None before something else happens."""
        heap = self._heap
        while heap:
            at, name = heap[0]
            turn = self._turns.get(name)
            if turn is not None and turn.due == at:
                return at if self._under_way < self._limit else None
            heapq.heappop(heap)
        return None

    def ended(self, name: str, pause: float, jitter: float, now: float) -> None:
        """
        Note that a probe is over, whose instance is to be probed again.

        Args:
            pause: seconds from its beginning to that of the next.
            jitter: up to this share of the pause is taken off at random.
        """
        turn = self._turns.get(name)
        if turn is None or turn.due is not None or turn.began is None:
            return
        self._under_way -= 1
        if turn.is_wanted:
            pause, jitter = HASTE_SECONDS, 0.0
        due = turn.began + pause * (1.0 - jitter * self._rng.random())
        self._put(name, max(due, now))

    def hasten(self, name: str, now: float) -> None:
        """Probe it at once, or once more if it is under way: what is wanted is news."""
        self.no_later_than(name, now, now)

    def no_later_than(self, name: str, at: float, now: float) -> None:
        """See to it that a probe begins until then, though not two within `HASTE_SECONDS`."""
        turn = self._turns.get(name)
        if turn is None:
            return
        if turn.due is None:
            turn.is_wanted = turn.is_wanted or at <= now
            return
        if turn.began is not None:
            at = max(at, turn.began + HASTE_SECONDS)
        if at < turn.due:
            self._put(name, at)

    def _put(self, name: str, at: float) -> None:
        self._turns[name].due = at
        heapq.heappush(self._heap, (at, name))
