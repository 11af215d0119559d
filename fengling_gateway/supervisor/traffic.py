"""What workers have served of late, of the sums that they tell with each heartbeat. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from fengling_gateway.dataplane.counters import LATENCY_BOUNDS

RATE_SECONDS: Final = 3.0
"""What rates are of: soon to be seen, and not up and down with every heartbeat."""

LATENCY_SECONDS: Final = 10.0
"""What percentiles are of: enough for the hundredth at ten requests a second."""

_KEPT: Final = 13
"""Heartbeats, one a second: those of `LATENCY_SECONDS`, and some more where they are early."""

_COUNTED: Final = ("requests", "errors", "instance_errors")

Totals = dict[str, Any]
"""As of `Counters.totals`."""


class Traffic:
    """What one worker has told; ``now`` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._told: deque[tuple[float, Totals]] = deque(maxlen=_KEPT)

    def told(self, totals: Totals, *, now: float) -> None:
        """A heartbeat has arrived."""
        self._told.append((now, totals))

    def values(self, *, now: float) -> dict[str, Any]:
        """
        Return rates a second, percentiles in milliseconds, and what is open and under way.

        Percentiles are None where there was no request. ``errors_per_s`` has
        answers with 5xx and what failed later; ``instance_errors_per_s`` is the part that
        instances have answered.
        """
        return together([self], now=now)

    def _since(self, seconds: float, now: float) -> tuple[float, Totals, Totals] | None:
        """Return the seconds between two heartbeats, the older at most so long ago, and both."""
        recent = [one for one in self._told if now - one[0] <= seconds]
        if len(recent) < 2:
            return None
        (first_at, first), (last_at, last) = recent[0], recent[-1]
        return last_at - first_at, first, last

    def rates(self, now: float) -> dict[str, float]:
        # Half a second more, or there would be one heartbeat less now and then.
        span = self._since(RATE_SECONDS + 0.5, now)
        if span is None or span[0] <= 0:
            return dict.fromkeys(_COUNTED, 0.0)
        seconds, first, last = span
        return {name: max(0, last[name] - first[name]) / seconds for name in _COUNTED}

    def latency(self, now: float) -> list[int]:
        """Return how many exchanges have ended, by `LATENCY_BOUNDS`."""
        span = self._since(LATENCY_SECONDS + 0.5, now)
        if span is None:
            return [0] * (len(LATENCY_BOUNDS) + 1)
        _, first, last = span
        # (Less than before: some of what was counted has been forgotten since.)
        both = zip(first["latency"], last["latency"], strict=True)
        return [max(0, after - before) for before, after in both]

    def open_now(self, name: str) -> int:
        return int(self._told[-1][1][name]) if self._told else 0


def together(workers: Iterable[Traffic], *, now: float) -> dict[str, Any]:
    """Return the same as `Traffic.values`, of several workers."""
    workers = list(workers)
    rates = [one.rates(now) for one in workers]
    latency = [sum(column) for column in zip(*(one.latency(now) for one in workers), strict=True)]
    ours, theirs = (sum(one[name] for one in rates) for name in ("errors", "instance_errors"))
    return {
        "requests_per_s": round(sum(one["requests"] for one in rates), 1),
        "errors_per_s": round(ours + theirs, 1),
        "instance_errors_per_s": round(theirs, 1),
        "p50_ms": percentile_ms(latency, 0.5),
        "p99_ms": percentile_ms(latency, 0.99),
        "connections": sum(one.open_now("connections") for one in workers),
        "in_flight": sum(one.open_now("in_flight") for one in workers),
    }


def percentile_ms(buckets: list[int], share: float) -> float | None:
    """
    Return what this share of exchanges took at most, as well as buckets tell it; None without any.

    Within a bucket they count as evenly spread. Beyond the last bound it is that bound.
    """
    wanted = sum(buckets) * share
    if not wanted:
        return None
    bounds = pairwise((0.0, *LATENCY_BOUNDS))
    for count, (lower, upper) in zip(buckets, bounds, strict=False):
        if count and wanted <= count:
            return round((lower + (upper - lower) * wanted / count) * 1000, 2)
        wanted -= count
    return LATENCY_BOUNDS[-1] * 1000
