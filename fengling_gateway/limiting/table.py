"""All that a worker has counted of its limits, whatever configuration it serves by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fengling_gateway.limiting.limit import ConcurrencyLimit, Limit
from fengling_gateway.limiting.shared import MOST_DEBT, Counts, Ledger, SharedCounts
from fengling_gateway.limiting.sliding_window import SlidingWindows
from fengling_gateway.limiting.token_bucket import TokenBuckets

MAX_KEYS: Final = 100_000
"""Of all limits of a worker together; some 200 bytes each."""

AGED_AT_ONCE: Final = 5000
"""Limits that are looked at in one sweep."""

Pair = tuple[bytes, bytes]


class LimitTable:
    """
    Counts by limit and key.

    A local limit is shared out: each worker of a node lets in its share of it.

    Args:
        workers: how many there are.
        max_keys: roughly how many keys are known at a time.

    Attributes:
        ledger: what is to be told of global limits.
        local_allowed, local_refused, global_allowed, global_refused: requests that a limit has
            let in or not, whatever the other limits of a request said.
    """

    def __init__(self, *, workers: int = 1, max_keys: int = MAX_KEYS) -> None:
        self._workers = workers
        self._max_keys = max_keys
        self._counts: dict[str, Counts | SharedCounts] = {}
        self._under_way: dict[str, dict[bytes, int]] = {}
        self._shared = 0
        self._forgotten = 0
        self._most_each = max_keys
        self._known = self._known_before = 0
        self._unaged: list[str] = []
        self.local_allowed = self.local_refused = 0
        self.global_allowed = self.global_refused = 0
        self.ledger = Ledger(max_keys)

    def __repr__(self) -> str:
        return f"<LimitTable {len(self._counts)} limits>"

    # Rates

    def take(self, limit: Limit, key: bytes, now: float) -> float:
        """
        Let one request in, if it may.

        Args:
            now: seconds of a clock that was always the same.

        Returns:
            0.0 if it is allowed; else the seconds until it would be, and nothing
            was taken; or `UNAVAILABLE`.
        """
        counts = self._counts.get(limit.id)
        if counts is None:
            counts = self._begin(limit, now)
        wait = counts.take(key, now)
        self._decided(limit, wait)
        return wait

    def _decided(self, limit: Limit, wait: float) -> None:
        if limit.is_global:
            if wait == 0.0:
                self.global_allowed += 1
            else:
                self.global_refused += 1
        elif wait == 0.0:
            self.local_allowed += 1
        else:
            self.local_refused += 1

    def take_all(self, limits: Sequence[Limit], keys: Sequence[bytes], now: float) -> float:
        """
        Let one request in if all limits do; if one does not, nothing is taken of any.

        Args:
            keys: one for each limit.
        """
        if len(limits) == 1:
            return self.take(limits[0], keys[0], now)
        longest = 0.0
        for limit, key in zip(limits, keys, strict=True):
            counts = self._counts.get(limit.id)
            if counts is None:
                counts = self._begin(limit, now)
            wait = counts.wait(key, now)
            if wait != 0.0:
                self._decided(limit, wait)
            if wait < 0.0:
                return wait
            longest = max(longest, wait)
        if longest == 0.0:
            for limit, key in zip(limits, keys, strict=True):
                self._counts[limit.id].take(key, now)
                self._decided(limit, 0.0)
        return longest

    def pairs(self, limits: Sequence[Limit], keys: Sequence[bytes], now: float) -> list[Pair]:
        """
        Return the headers that tell a client what is left to it; none where all limits say so.

        They are those of draft-ietf-httpapi-ratelimit-headers-10.
        """
        if len(limits) == 1:
            return self._pairs_of_one(limits[0], keys[0], now)
        policies, left = [], []
        for limit, key in zip(limits, keys, strict=True):
            if pairs := self._pairs_of_one(limit, key, now):
                policies.append(pairs[0][1])
                left.append(pairs[1][1])
        if not left:
            return []
        return [(b"RateLimit-Policy", b", ".join(policies)), (b"RateLimit", b", ".join(left))]

    def _pairs_of_one(self, limit: Limit, key: bytes, now: float) -> list[Pair]:
        counts = self._counts.get(limit.id)
        if counts is None or not limit.shows_headers:
            return []
        return [limit.policy, (b"RateLimit", limit.left % counts.left(key, now))]

    # Requests at a time

    def enter(self, limit: ConcurrencyLimit, key: bytes) -> bool:
        """Begin a request, if it may; `release` it when it is over, whatever comes of it."""
        under_way = self._under_way.get(limit.id)
        if under_way is None:
            under_way = self._under_way[limit.id] = {}
        now = under_way.get(key, 0)
        if now >= max(1, limit.most // self._workers):
            return False
        under_way[key] = now + 1
        return True

    def release(self, limit: ConcurrencyLimit, key: bytes) -> None:
        """End a request that was let in."""
        under_way = self._under_way[limit.id]
        left = under_way[key] - 1
        if left:
            under_way[key] = left
            return
        del under_way[key]
        if not under_way:
            del self._under_way[limit.id]

    # Housekeeping

    def sweep(self, now: float) -> None:
        """Forget what no longer matters, a part at each call; call it about twice a second."""
        if not self._unaged:
            self._begin_pass()
        some, self._unaged = self._unaged[:AGED_AT_ONCE], self._unaged[AGED_AT_ONCE:]
        for name in some:
            self._age(name, self._counts[name], now)

    def decisions(self) -> dict[str, int]:
        """Return what limits have decided, by scope and decision with a blank between them."""
        return {
            "local allowed": self.local_allowed,
            "local refused": self.local_refused,
            "global allowed": self.global_allowed,
            "global refused": self.global_refused,
        }

    def counters(self) -> dict[str, int]:
        """
        Return what there is to tell, fit for JSON; names that end in ``_now`` are gauges.

        Of keys, what the sweeps have found: nobody counts them all at once.
        """
        return {
            "limit_keys_now": max(self._known, self._known_before),
            "limit_keys_forgotten": self._forgotten,
            "limit_requests_told": self.ledger.told,
            "limit_requests_untold": self.ledger.lost,
            "limit_calls": self.ledger.calls,
            "limit_calls_failed": self.ledger.failures,
            "limit_outages": self.ledger.outages,
            "limits_alone_now": int(self._shared > 0 and not self.ledger.is_reachable),
        }

    def _begin_pass(self) -> None:
        self._unaged = list(self._counts)
        self._known_before, self._known = self._known, 0
        # Those with the most keys make room for the others.
        is_crowded = self._known_before > self._max_keys
        self._most_each = self._max_keys // len(self._counts) if is_crowded else self._max_keys

    def _age(self, name: str, counts: Counts | SharedCounts, now: float) -> None:
        if len(counts) > self._most_each:
            counts.shrink(now)
        else:
            counts.age(now)
        self._forgotten += counts.take_forgotten()
        known = len(counts)
        self._known += known
        if not known:
            self._shared -= isinstance(counts, SharedCounts)
            del self._counts[name]

    def _begin(self, limit: Limit, now: float) -> Counts | SharedCounts:
        share = self._new_counts(limit, self._workers, 1, now)
        counts: Counts | SharedCounts = share
        if limit.is_global:
            whole = self._new_counts(limit, 1, MOST_DEBT, now)
            counts = SharedCounts(limit, whole, share, self.ledger, self._max_keys)
            self._shared += 1
        self._counts[limit.id] = counts
        return counts

    def _new_counts(self, limit: Limit, workers: int, most_debt: int, now: float) -> Counts:
        """Return empty counts of one worker's share; the rate is the exact part of the whole."""
        if limit.is_bucket:
            interval = limit.window / limit.count * workers
            burst = max(1.0, limit.burst / workers)
            return TokenBuckets(interval, burst, self._max_keys, now, most_debt)
        count = max(1, limit.count // workers)
        window = limit.window * workers * count / limit.count
        return SlidingWindows(count, window, self._max_keys, most_debt)
