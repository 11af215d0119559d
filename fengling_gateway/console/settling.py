"""Which position workers should serve by now. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from fengling_gateway.model.delta import Position

CHANGE_SECONDS: Final = 2.0
"""For how long a change may be on its way: what workers serve is looked at once a second."""


class _Known(NamedTuple):
    position: Position
    at: float


class Settling:
    """
    Remembers what may still be on its way to workers.

    Where changes come all the time, one that has settled is told up to `CHANGE_SECONDS` late:
    of those that come within that time, only the first and the last are remembered.
    """

    def __init__(self) -> None:
        self._newest: _Known | None = None
        self._next: _Known | None = None
        self._settled: Position | None = None

    def __repr__(self) -> str:
        return f"<Settling after {self._settled}>"

    def changed(self, position: Position, now: float) -> None:
        """Note what is to be served from now on."""
        known = _Known(position, now)
        if self._newest is not None and _is_set_back(self._newest.position, position):
            self._settled = self._next = None
        else:
            self._settled = self.settled(now)
        if self._next is None or _is_old(self._next, now):
            self._next = known
        self._newest = known

    def settled(self, now: float) -> Position | None:
        """Return the newest position that has had its time; None: nobody can be late yet."""
        for known in (self._newest, self._next):
            if known is not None and _is_old(known, now):
                return known.position
        return self._settled


def _is_old(known: _Known, now: float) -> bool:
    return now - known.at >= CHANGE_SECONDS


def _is_set_back(before: Position, after: Position) -> bool:
    """Whether workers that serve what there is now would seem to lack what there was."""
    return before.epoch != after.epoch or after.revision < before.revision
