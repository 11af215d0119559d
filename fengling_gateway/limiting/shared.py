"""Limits that all workers of a cluster count together, a little later than they let in.

A worker takes by what it knows, and notes what it took. Now and then somebody
carries that to Redis and brings back what all have taken (see `Ledger`): so no
request waits, and until then each worker may let in what only one of them
should. That is owed: less is let in until it is made up for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fengling_gateway.limiting.limit import Limit
from fengling_gateway.limiting.sliding_window import SlidingWindows
from fengling_gateway.limiting.token_bucket import TokenBuckets

MOST_DEBT: Final = 16
"""
Most bursts, or windows, that a key may owe: more than that it is forgiven.

So is what 16 workers let in at the same moment made up for in full, and nobody
is shut out for days by what he did in a second.
"""

UNAVAILABLE: Final = -1.0
"""In place of a time to wait: nobody can say whether it is allowed, and then it is not."""

Counts = TokenBuckets | SlidingWindows

Spent = tuple["SharedCounts", bytes, int]
"""What was taken of a key since it was told last."""


class Ledger:
    """
    What this worker has taken of global limits and not told yet.

    Attributes:
        is_reachable: whether the others are believed to hear of it; the one who
            carries it sets this.
        calls, failures, outages: how often it was told, was not heard, and was not
            heard for so long that the limits went on without.
        told, lost: requests that were told of, and those that never were.
        wake: called when there is something to tell and was nothing before.
    """

    def __init__(self, max_keys: int) -> None:
        self._max_keys = max_keys
        self._waiting: dict[SharedCounts, None] = {}
        self.is_reachable = False
        self.calls = 0
        self.failures = 0
        self.outages = 0
        self.told = 0
        self.lost = 0
        self.wake: Callable[[], None] = _nobody

    def __len__(self) -> int:
        return sum(len(counts.untold) for counts in self._waiting)

    def note(self, counts: SharedCounts) -> None:
        """Remember that these have something to tell."""
        is_first = not self._waiting
        self._waiting[counts] = None
        if is_first:
            self.wake()

    def batch(self, most: int) -> list[Spent]:
        """Take out up to `most` keys with what was taken of each."""
        found: list[Spent] = []
        for counts in list(self._waiting):
            untold = counts.untold
            while untold and len(found) < most:
                key, taken = untold.popitem()
                found.append((counts, key, taken))
            if not untold:
                del self._waiting[counts]
            if len(found) >= most:
                break
        return found

    def lose(self, batch: list[Spent]) -> None:
        """Give up on what could not be told."""
        self.lost += sum(taken for _, _, taken in batch)

    def lose_all(self) -> None:
        """Give up on everything: it is too old to matter by the time that somebody hears of it."""
        while batch := self.batch(self._max_keys):
            self.lose(batch)


class SharedCounts:
    """
    The counts of one global limit.

    Args:
        whole: what is counted together.
        share: of this worker, for when the others can't be told.
    """

    __slots__ = ("_ledger", "_max_keys", "limit", "share", "untold", "whole")

    def __init__(
        self, limit: Limit, whole: Counts, share: Counts, ledger: Ledger, max_keys: int
    ) -> None:
        self.limit = limit
        self.whole = whole
        self.share = share
        self._ledger = ledger
        self._max_keys = max_keys
        self.untold: dict[bytes, int] = {}

    def take(self, key: bytes, now: float) -> float:
        """Take one by what is known: 0.0, the seconds to wait, or `UNAVAILABLE`."""
        if not self._ledger.is_reachable:
            return self._take_alone(key, now)
        wait = self.whole.take(key, now)
        if wait == 0.0:
            self._note(key)
        return wait

    def wait(self, key: bytes, now: float) -> float:
        """Return what `take` would, and take none."""
        if self._ledger.is_reachable:
            return self.whole.wait(key, now)
        failing = self.limit.on_failure
        if failing == "local":
            return self.share.wait(key, now)
        return 0.0 if failing == "allow" else UNAVAILABLE

    def left(self, key: bytes, now: float) -> tuple[int, int]:
        """Return what is left, and the seconds until it is more."""
        is_alone = not self._ledger.is_reachable and self.limit.on_failure == "local"
        return (self.share if is_alone else self.whole).left(key, now)

    def __len__(self) -> int:
        return len(self.whole) + len(self.share) + len(self.untold)

    def take_forgotten(self) -> int:
        """Return how many keys were forgotten before their time since the last call."""
        return self.whole.take_forgotten() + self.share.take_forgotten()

    def age(self, now: float) -> None:
        """Forget what no longer matters."""
        self.whole.age(now)
        self.share.age(now)

    def shrink(self, now: float) -> None:
        """Forget what has not been touched for longest, too."""
        self.whole.shrink(now)
        self.share.shrink(now)

    def _take_alone(self, key: bytes, now: float) -> float:
        failing = self.limit.on_failure
        if failing == "local":
            return self.share.take(key, now)
        return 0.0 if failing == "allow" else UNAVAILABLE

    def _note(self, key: bytes) -> None:
        untold = self.untold
        taken = untold.get(key)
        if taken is not None:
            untold[key] = taken + 1
        elif len(untold) >= self._max_keys:
            self._ledger.lost += 1
        else:
            untold[key] = 1
            if len(untold) == 1:
                self._ledger.note(self)


def _nobody() -> None:
    """For when nobody carries anything."""
