"""Noticing that a clock has been set. Pure."""

from __future__ import annotations

from typing import Final

MIN_JUMP_SECONDS: Final = 1.0
"""Clocks that differ by so much more than a moment ago have not drifted apart."""


class Jumps:
    """
    Compares a clock that may be set with one that can't.

    The reactor's is that of the wall: set back by an hour, it would have every call
    wait for an hour.
    """

    def __init__(self) -> None:
        self._apart: float | None = None

    def look(self, clock: float, monotonic: float) -> float:
        """Return by how much the clock has been set since the last look; 0.0: it has not."""
        apart = clock - monotonic
        before, self._apart = self._apart, apart
        jump = 0.0 if before is None else apart - before
        return jump if abs(jump) > MIN_JUMP_SECONDS else 0.0
