"""How many routes a cluster has lost within a minute. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

SECONDS: Final = 60.0
"""What goes within it goes together, however many revisions it takes."""


class LatelyLost:
    """Times are those of any one clock, and never go back."""

    def __init__(self) -> None:
        self._lost: deque[tuple[float, int]] = deque()
        # Of longer ago, and still to be counted.
        self._before = 0

    def __repr__(self) -> str:
        return f"<LatelyLost: {len(self._lost)} times>"

    def add(self, now: float, routes: int) -> None:
        """
        Note how many have gone.

        Args:
            routes: less those that are new, of which there may be more.
        """
        if routes:
            self._lost.append((now, routes))

    def count(self, now: float, *, goes_on: bool) -> int:
        """
        Return how many fewer there are than at the most within the time.

        Args:
            goes_on: whether the loss is not over, as some of it waits: then all of it counts.
        """
        while self._lost and self._lost[0][0] <= now - SECONDS:
            self._before = max(0, self._before + self._lost.popleft()[1])
        if not goes_on:
            self._before = 0
        fewer = self._before
        for _, routes in self._lost:
            fewer = max(0, fewer + routes)
        return fewer

    def clear(self) -> None:
        """Forget all: somebody has said that so many may go."""
        self._lost.clear()
        self._before = 0
