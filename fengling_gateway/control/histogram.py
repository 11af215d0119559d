"""
How often something took how long, where that is rare enough for plain Python.

What is counted for each request is the data plane's, which compiles its own.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of buckets, those of the data plane; one more is unbounded."""


class Histogram:
    """
    Numbers of times by some bounds, and their sum.

    Attributes:
        buckets: each has those up to its bound and above the one before; the last has
            those beyond all bounds.
    """

    __slots__ = ("_bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self._bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram of {sum(self.buckets)}>"

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    def to_json(self) -> dict[str, Any]:
        """Return the bounds, and as values the buckets followed by the sum."""
        return {"bounds": list(self._bounds), "values": [*self.buckets, self.sum]}
