"""Who looks on, and at which requests: workers are told of it, and tell what they see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.supervisor.link import WorkerLink

_log = Logger()

MAX_TAPS: Final = 8
"""At a time: each costs what it is told."""

MAX_SECONDS: Final = 600.0
"""Nobody looks on for longer; somebody has forgotten it."""

WORKER_GRACE_SECONDS: Final = 5.0
"""So much later a worker ends a tap by itself, if nobody has told it to."""


class Audience(Protocol):
    """Who looks on."""

    def requests(self, requests: list[dict[str, Any]], left_out: int) -> None:
        """Requests have ended, and so many more that are not told."""

    def over(self, why: str) -> None:
        """Nothing more is told: ``time`` is up, or the gateway has ``stopped``."""


@dataclass(frozen=True, slots=True)
class _Tap:
    filter: Mapping[str, Any]
    until: float
    audience: Audience
    expiry: Any


class Taps:
    """
    The taps that are on.

    Args:
        links: every worker whose process has not ended.

    Attributes:
        begun: how many there have been.
    """

    def __init__(self, *, clock: IReactorTime, links: Callable[[], Iterable[WorkerLink]]) -> None:
        self._clock = clock
        self._links = links
        self._taps: dict[int, _Tap] = {}
        self._is_over = False
        self.begun = 0

    def __repr__(self) -> str:
        return f"<Taps {len(self._taps)}>"

    def __len__(self) -> int:
        return len(self._taps)

    def begin(
        self, tap_filter: Mapping[str, Any], *, seconds: float, audience: Audience
    ) -> Callable[[], None]:
        """
        Have requests told, for so long at most, and return what ends it.

        Args:
            tap_filter: as of `fengling_gateway.records.tap_filter.TapFilter.to_json`.

        Raises:
            ValueError: there are as many as there may be, or the gateway has stopped.
        """
        if self._is_over:
            raise ValueError("this gateway is being stopped")
        if len(self._taps) >= MAX_TAPS:
            raise ValueError(f"{MAX_TAPS} taps are on already, and there may be no more")
        self.begun += 1
        number, seconds = self.begun, min(seconds, MAX_SECONDS)
        expiry = self._clock.callLater(seconds, self._over, number, "time")
        until = self._clock.seconds() + seconds
        self._taps[number] = _Tap(tap_filter, until, audience, expiry)
        for link in self._links():
            self._tell(link, number)
        return lambda: self._end(number)

    def told(self, values: Mapping[str, Any]) -> None:
        """A worker has said what it has seen; see `Message.TAPPED`."""
        tap = self._taps.get(values["id"])
        if tap is None:
            return  # it has ended, and the worker doesn't know it yet
        try:
            tap.audience.requests(values["requests"], values["left_out"])
        except Exception:
            _log.failure("tap {number} is ended", number=values["id"], log_id="tap.failed")
            self._over(values["id"], "failed")

    def tell(self, link: WorkerLink) -> None:
        """Tell a worker that is new of what is on."""
        for number in self._taps:
            self._tell(link, number)

    def stop(self) -> Deferred[None]:
        """End all of them, for good; fires when whoever looked on could be told."""
        self._is_over = True
        if not self._taps:
            return succeed(None)
        for number in list(self._taps):
            self._over(number, "stopped")
        # In its next turn the reactor writes what it has to; in its last one it would not.
        told: Deferred[None] = Deferred()
        self._clock.callLater(0, told.callback, None)
        return told

    def _tell(self, link: WorkerLink, number: int) -> None:
        tap = self._taps[number]
        left = tap.until - self._clock.seconds() + WORKER_GRACE_SECONDS
        link.tap({"id": number, "seconds": left, "filter": dict(tap.filter)})

    def _over(self, number: int, why: str) -> None:
        tap = self._taps.get(number)
        if tap is not None:
            self._end(number)
            tap.audience.over(why)

    def _end(self, number: int) -> None:
        tap = self._taps.pop(number, None)
        if tap is None:
            return
        if tap.expiry.active():
            tap.expiry.cancel()
        for link in self._links():
            link.untap(number)
