"""Which routes are busy, fail or are slow: kept of what is gathered anyway, told on demand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.observability.sums import Values
from fengling_gateway.supervisor.route_sums import RouteSums, Sort

_log = Logger()

SLICE_SECONDS: Final = 0.002
"""How long adding up may keep the reactor, give or take a piece."""

FRESH_SECONDS: Final = 2.0
"""What was gathered so long ago is told again: many may look at a time, and each second."""

T = TypeVar("T")


class RouteTraffic:
    """
    Args:
        gather: asks workers for what they have counted; fires when `gathered` has been called.

    Attributes:
        longest_slice_ms: for which the reactor was kept at a time.
    """

    def __init__(self, *, clock: IReactorTime, gather: Callable[[], Deferred[Any]]) -> None:
        self._clock = clock
        self._gather = gather
        self._sums = RouteSums(now=clock.seconds())
        self._adding: Deferred[None] | None = None
        self._stopped = False
        self.longest_slice_ms = 0.0

    def __repr__(self) -> str:
        return f"<RouteTraffic {self._sums!r}>"

    def stop(self) -> None:
        """Add up no more."""
        self._stopped = True
        if self._adding is not None:
            self._adding.cancel()

    def gathered(self, all_values: Iterable[Values]) -> None:
        """Take what all workers have counted, also those that are gone; it must not change."""
        now = self._clock.seconds()
        is_early = now - self._sums.at < FRESH_SECONDS * 0.75
        if self._stopped or is_early or self._adding is not None:
            return
        work = self._sums.add(list(all_values), now=now)
        self._adding = adding = Deferred.fromCoroutine(self._in_slices(work))
        adding.addErrback(_told).addCallback(self._added)

    async def busiest(self, sort: Sort, limit: int) -> dict[str, Any]:
        """Return the first so many; see `RouteSums.busiest`."""
        if self._clock.seconds() - self._sums.at >= FRESH_SECONDS:
            await self._gather()
        if self._adding is not None:
            await self._when_added()
        return await self._in_slices(self._sums.busiest(sort, limit))

    def _when_added(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        assert self._adding is not None, "the caller has looked"
        self._adding.addCallback(lambda _: waiting.callback(None))
        return waiting

    def _added(self, _: Any) -> None:
        self._adding = None

    async def _in_slices(self, work: Generator[None, None, T]) -> T:
        began = self._clock.seconds()
        while True:
            try:
                next(work)
            except StopIteration as ended:
                self._sliced(began)
                found: T = ended.value
                return found
            if self._clock.seconds() - began >= SLICE_SECONDS:
                self._sliced(began)
                await deferLater(self._clock, 0)
                began = self._clock.seconds()

    def _sliced(self, began: float) -> None:
        took = (self._clock.seconds() - began) * 1000
        self.longest_slice_ms = max(self.longest_slice_ms, took)


def _told(failure: Failure) -> None:
    if not failure.check(CancelledError):
        _log.failure("what routes have served is not added up", failure, log_id="traffic.failed")
