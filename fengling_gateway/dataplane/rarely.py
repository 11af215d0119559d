"""Lines for the log that many connections would write, and one is enough."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

QUIET_SECONDS: Final = 60.0
"""For how long nothing more is said of what something was said of."""

MAX_SUBJECTS: Final = 10_000
"""Things that are kept apart; beyond that, something may be said again too soon."""


class Rarely:
    """Says of each thing whether it is time to log it, at most once a minute."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: dict[Hashable, float] = {}

    def is_time(self, subject: Hashable, now: float) -> bool:
        """Whether to say it now; whoever asks does."""
        said = self._said
        at = said.get(subject)
        if at is not None and now < at + QUIET_SECONDS:
            return False
        if len(said) >= MAX_SUBJECTS:
            said.clear()
        said[subject] = now
        return True
