"""What the workers of this host tell of exchanges that failed or were slow; it outlives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.records.notable import SLOW
from fengling_gateway.records.ring import Kept, Ring

_log = Logger(namespace="fengling.requests")

LINES_PER_SECOND: Final = 1.0
LINES_AT_ONCE: Final = 20.0


@dataclass(frozen=True, slots=True)
class FailureSettings:
    """How much is kept: in exchanges, and in bytes, about."""

    kept: int = 10_000
    kept_bytes: int = 16 << 20


class Failures:
    """
    Keeps exchanges that failed or were slow, and logs the slow ones.

    Args:
        wall: seconds since the epoch.

    Attributes:
        ring: what is kept.
        left_out: exchanges that workers have only counted, since the start.
    """

    def __init__(
        self, *, clock: IReactorTime, wall: Callable[[], float], settings: FailureSettings
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._lines = LINES_AT_ONCE
        self._lines_at = clock.seconds()
        self._unsaid = 0
        self.ring = Ring(most=settings.kept, most_bytes=settings.kept_bytes)
        self.left_out = 0

    def __repr__(self) -> str:
        return f"<Failures {self.ring!r}>"

    def told(self, records: Sequence[Mapping[str, Any]], left_out: Mapping[str, int]) -> None:
        """Take what a worker tells; see `Message.RECORDS`."""
        for document in records:
            one = self.ring.add(document)
            if one.kind == SLOW:
                self._say(one, document)
        if left_out:
            self.ring.leave_out(left_out, self._wall())
            self.left_out += sum(left_out.values())
            self._unsaid += left_out.get(SLOW, 0)

    def values(self) -> dict[str, Any]:
        """Return what there is to say of it as a whole."""
        return {**self.ring.values(), "left_out": self.left_out}

    def _say(self, one: Kept, document: Mapping[str, Any]) -> None:
        if not self._may_say():
            self._unsaid += 1
            return
        unsaid, self._unsaid = self._unsaid, 0
        last = document["attempts"][-1] if document["attempts"] else {}
        _log.warn(
            "slow: {method} {target} of {host} waited {waited_ms:.0f} ms for an answer of "
            "{status} by {instance} (route {route}, request {request_id}){more}",
            log_id="request.slow",
            **{name: document[name] for name in _LOGGED},
            request_id=one.request_id,
            instance=last.get("instance"),
            address=last.get("address"),
            connect_ms=last.get("connect_ms"),
            unsaid=unsaid,
            more=f"; {unsaid} more since the last such line" if unsaid else "",
        )

    def _may_say(self) -> bool:
        now = self._clock.seconds()
        gained = (now - self._lines_at) * LINES_PER_SECOND
        self._lines = min(LINES_AT_ONCE, self._lines + gained)
        self._lines_at = now
        if self._lines < 1:
            return False
        self._lines -= 1
        return True


_LOGGED: Final = (
    *("at", "method", "scheme", "host", "target", "client", "status", "route", "service"),
    *("tenant", "subject", "revision", "worker", "asked", "waited_ms", "duration_ms", "trace_id"),
)
