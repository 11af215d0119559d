"""
How fresh what is reported of instances is: whether somebody probes them. Pure.

Two signs are counted, and either suffices: the row of the prober in the database, and
its heartbeat on Redis. Where nobody has ever probed, reports are somebody else's, and
are believed for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fengling_gateway.configsource.reading import ProberRow
from fengling_gateway.syncbus.messages import ProberBeat


@dataclass(frozen=True, slots=True)
class Health:
    """
    Who probes, and whether that is so.

    ``state`` is ``fresh``, ``stale``, or ``none`` where nobody has ever probed.
    ``term`` is None while that is not known; ``age_s`` is how old the last sign is.
    """

    state: Literal["fresh", "stale", "none"]
    term: int | None
    holder: str | None
    age_s: float | None

    def values(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "term": self.term,
            "holder": self.holder,
            "age_s": self.age_s,
        }


class Freshness:
    """
    Judges the signs. Every ``now`` is monotonic, in seconds.

    Args:
        stale_after: seconds without a sign after which nobody probes.
        now: since when there could have been one.
    """

    def __init__(self, *, stale_after: float, now: float) -> None:
        self._stale_after = stale_after
        self._since = now
        self._term: int | None = None
        self._holder: str | None = None
        self._seen = float("-inf")

    def read(self, row: ProberRow | None, *, now: float) -> None:
        """The database has told; None: it has no such row."""
        if row is None or row.term == 0:
            self._term, self._holder, self._seen = 0, None, float("-inf")
            return
        if self._is_older(row.term) and now - self._seen <= self._stale_after:
            return  # a standby that lags, and whoever probes now has been heard
        if row.term != self._term:
            self._seen = float("-inf")
        self._term, self._holder = row.term, row.holder
        if row.age_s is not None:
            self._seen = max(self._seen, now - max(0.0, row.age_s))

    def heard(self, beat: ProberBeat, *, now: float) -> None:
        """Whoever probes has said so on Redis."""
        if beat.term > 0 and not self._is_older(beat.term):
            self._term, self._holder, self._seen = beat.term, beat.holder, now

    def excuse(self, seconds: float) -> None:
        """Don't count a time in which nobody listened."""
        self._since += seconds
        self._seen += seconds

    def health(self, *, now: float) -> Health:
        """Say how it stands now."""
        if self._term == 0:
            return Health("none", 0, None, None)
        has_seen = self._seen != float("-inf")
        age = now - (self._seen if has_seen else self._since)
        shown = round(age, 1) if has_seen else None
        if age > self._stale_after:
            return Health("stale", self._term, self._holder, shown)
        # Before anything is known nothing has been said of instances either.
        return Health("none" if self._term is None else "fresh", self._term, self._holder, shown)

    def _is_older(self, term: int) -> bool:
        return self._term is not None and term < self._term
