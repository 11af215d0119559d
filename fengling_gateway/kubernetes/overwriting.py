"""How long to wait before a status is written again that somebody else keeps overwriting. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef

FIRST_SECONDS: Final = 1.0
"""So long, because whoever has done so may do it again at once."""

MAX_SECONDS: Final = 60.0

_QUIET_SECONDS: Final = 2 * MAX_SECONDS
"""Who has left a status alone for so long is not at war."""


class _Last(NamedTuple):
    at: float
    pause: float


class Overwriting:
    """Remembers which objects' statuses have been overwritten lately."""

    def __init__(self) -> None:
        self._last: dict[ObjectRef, _Last] = {}

    def __repr__(self) -> str:
        return f"<Overwriting: {len(self._last)} objects>"

    def pause(self, ref: ObjectRef, now: float) -> float:
        """Note that a status has been overwritten; return how many seconds to leave it so."""
        self._forget(now)
        last = self._last.get(ref)
        pause = FIRST_SECONDS if last is None else min(2 * last.pause, MAX_SECONDS)
        self._last[ref] = _Last(now, pause)
        return pause

    def is_at_war(self, ref: ObjectRef) -> bool:
        """Whether the longest pause has been come to."""
        return ref in self._last and self._last[ref].pause == MAX_SECONDS

    def _forget(self, now: float) -> None:
        for ref in [one for one, last in self._last.items() if now - last.at > _QUIET_SECONDS]:
            del self._last[ref]
