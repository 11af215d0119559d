"""
What a worker does without when its memory runs short.

1. From 85 % of what it may use, requests that would be forwarded are answered
   503, answers end their connections, and idle connections are closed, those
   that have been idle longest first. What is under way goes on.
2. From 95 % no connection is accepted either. Clients wait in the queues of
   the listening sockets.

Each has a lower mark at which it ends (`_BEGINS`, `_ENDS`), lest it come and go
with every connection. Before it begins, the C library is asked to give back
what is free: then there may be nothing to do without.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from twisted.logger import Logger

_log = Logger()


class Level(IntEnum):
    """What a worker does without; each includes the one before."""

    NONE = 0
    SHEDDING = 1
    """New requests and idle connections."""
    PAUSED = 2
    """New connections."""


_BEGINS: Final = {Level.SHEDDING: 0.85, Level.PAUSED: 0.95}
_ENDS: Final = {Level.SHEDDING: 0.80, Level.PAUSED: 0.90}

LOOK_SECONDS: Final = 0.5
"""How often memory is looked at."""

TRIM_SECONDS: Final = 2.0
"""
How often, at most, the C library is asked to give memory back.

That takes 100 to 200 ms for each GiB that there is to give, and up to 40 ms where there is nothing.
Without it nearly all of what a burst has taken would look as if it were in use: of 293 MiB, of
which connections that have gone had 240, 291 were left.
"""

_SAYINGS: Final = {
    Level.NONE: "everything is served again",
    Level.SHEDDING: "new requests are answered 503",
    Level.PAUSED: "no connections are accepted",
}


def judge(level: Level, share: float) -> Level:
    """
    Return the level that follows.

    Args:
        share: of the memory that may be used, which may be above 1.
    """
    for one in (Level.PAUSED, Level.SHEDDING):
        if share >= (_ENDS if level >= one else _BEGINS)[one]:
            return one
    return Level.NONE


class Overload:
    """
    Watches a worker's memory.

    Args:
        limit_bytes: what it may use; None or 0: as much as it likes.
        resident: returns what it does; None where nobody knows.
        trim: gives free memory back to the system; None where that can't be done.
        changed: called after the level has.

    Attributes:
        level: what is done without at present.
        resident_bytes: as of the last look.
    """

    def __init__(
        self,
        *,
        limit_bytes: int | None,
        resident: Callable[[], int | None],
        trim: Callable[[], None] | None,
        changed: Callable[[Level], None],
    ) -> None:
        self.limit_bytes = limit_bytes or 0
        self.level = Level.NONE
        self.resident_bytes = 0
        self._resident = resident
        self._trim = trim
        self._changed = changed
        self._next_look = 0.0
        self._next_trim = 0.0

    def __repr__(self) -> str:
        return f"<Overload {self.level.name.lower()}: {self._words()}>"

    def look(self, now: float) -> bool:
        """Judge, if it is time to (by a clock of seconds); return whether it was."""
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS
        self._read()
        level = self._judged()
        if self._may_be_less(level, now) and self._trim is not None:
            self._next_trim = now + TRIM_SECONDS
            self._trim()
            self._read()
            level = self._judged()
        if level is not self.level:
            self._change(level)
        return True

    def _may_be_less(self, level: Level, now: float) -> bool:
        """Whether to have what is free given back; when some is, there may be more."""
        return level < self.level or (level > Level.NONE and now >= self._next_trim)

    def _read(self) -> None:
        self.resident_bytes = self._resident() or 0

    def _judged(self) -> Level:
        if not self.limit_bytes:
            return Level.NONE
        return judge(self.level, self.resident_bytes / self.limit_bytes)

    def _change(self, level: Level) -> None:
        say = _log.warn if level else _log.info
        self.level = level
        say(
            "memory: {used}: {what}",
            used=self._words(),
            what=_SAYINGS[level],
            level_name=level.name.lower(),
            log_id="overload.changed",
        )
        self._changed(level)

    def _words(self) -> str:
        used, limit = self.resident_bytes >> 20, self.limit_bytes >> 20
        share = f", {self.resident_bytes / self.limit_bytes:.0%}" if self.limit_bytes else ""
        return f"{used} of {limit} MiB{share}" if limit else f"{used} MiB"
