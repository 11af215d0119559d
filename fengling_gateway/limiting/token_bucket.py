"""Token buckets, one per key, as the generic cell rate algorithm has them.

Of each key one number is kept: when its bucket will be full again. A request
puts that off by the time that a token takes to come back; it is allowed if that
is then no further away than a whole bucket takes.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from fengling_gateway.limiting.generations import Generations

_TOLERANCE: Final = 1e-6
"""Of the time that a token takes: what sums of floats are off by must refuse nobody."""


class TokenBuckets:
    """
    Buckets of the same size.

    Args:
        interval: seconds in which a token comes back.
        burst: tokens of a full bucket, at least 1; it may be no whole number.
        max_keys: roughly how many are known at a time.
        now: times are kept from here on, for floats are the finer the smaller they are.
        most_debt: bursts that may be owed. More than one only if others take, too; or
            the clock was set back.
    """

    __slots__ = ("_full", "_interval", "_most", "_origin", "_slack", "_whole", "keys")

    def __init__(
        self, interval: float, burst: float, max_keys: int, now: float, most_debt: int = 1
    ) -> None:
        self._interval = interval
        self._full = int(burst + _TOLERANCE)
        self._whole = interval * burst
        self._most = self._whole * most_debt
        self._slack = interval * (burst - 1 + _TOLERANCE)
        self._origin = now
        self.keys: Generations[float] = Generations(self._most, max_keys)

    def take(self, key: bytes, now: float) -> float:
        """Take a token: return 0.0, or the seconds until there is one."""
        now -= self._origin
        keys = self.keys
        known = keys.younger.get(key)
        if known is None:
            known = keys.recall(key, now)
        full_at = now if known is None else known
        full_at = max(full_at, now)
        wait = full_at - now - self._slack
        if wait > 0.0:
            return self._bounded(wait, key, now)
        keys.younger[key] = full_at + self._interval
        return 0.0

    def wait(self, key: bytes, now: float) -> float:
        """Return the seconds until there is a token, and take none."""
        now -= self._origin
        full_at = self.keys.peek(key)
        if full_at is None:
            return 0.0
        wait = full_at - now - self._slack
        return max(0.0, self._bounded(wait, key, now))

    def left(self, key: bytes, now: float) -> tuple[int, int]:
        """Return the tokens that are there, and the seconds until there is one more."""
        known = self.keys.peek(key)
        if known is None:
            return self._full, 0
        full_at = known
        debt = full_at - now + self._origin
        if debt <= 0.0:
            return self._full, 0
        interval = self._interval
        tokens = int((self._whole - debt) / interval + _TOLERANCE)
        if tokens <= 0:
            return 0, ceil(debt - self._slack)
        next_in = debt - self._whole + (tokens + 1) * interval
        return tokens, ceil(min(debt, next_in))

    def settle(self, key: bytes, debt: float, taken: int, now: float) -> None:
        """
        Go by what was counted elsewhere.

        Args:
            debt: seconds until the bucket is full, by that count.
            taken: tokens since then.
        """
        now -= self._origin
        if self.keys.younger.get(key) is None:
            self.keys.recall(key, now)
        self.keys.younger[key] = now + min(debt + taken * self._interval, self._most)

    def __len__(self) -> int:
        return len(self.keys)

    def take_forgotten(self) -> int:
        """Return how many keys were forgotten before their time since the last call."""
        forgotten, self.keys.forgotten = self.keys.forgotten, 0
        return forgotten

    def age(self, now: float) -> None:
        """Forget what no longer matters."""
        self.keys.age(now - self._origin)

    def shrink(self, now: float) -> None:
        """Forget what has not been touched for longest, too."""
        self.keys.shrink(now - self._origin)

    def _bounded(self, wait: float, key: bytes, now: float) -> float:
        longest = max(self._interval, self._most - self._slack)
        if wait <= longest:
            return wait
        self.keys.younger[key] = now + self._most
        return longest
