"""Waits until workers serve a position."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from fengling_gateway.model.delta import Position
from fengling_gateway.supervisor.link import WorkerLink, WorkerState

_COUNTED = (WorkerState.SERVING, WorkerState.STARTING, WorkerState.STALLED)


class Propagation:
    """Tells when every worker of this host serves a position, or which don't."""

    def __init__(self, *, clock: IReactorTime, links: Callable[[], Iterable[WorkerLink]]) -> None:
        self._clock = clock
        self._links = links
        self._waiting: list[tuple[Position, Deferred[list[str]]]] = []

    @property
    def counted(self) -> int:
        """How many workers there are to serve a position; draining ones aside."""
        return sum(1 for link in self._links() if link.state in _COUNTED)

    def behind(self, position: Position | None) -> list[str]:
        """Return the names of the workers that don't serve a position yet; draining ones aside."""
        return [
            link.name
            for link in self._links()
            if link.state in _COUNTED and _is_before(link.served.position, position)
        ]

    def wait(self, position: Position | None, timeout: float) -> Deferred[list[str]]:
        """Return the workers that don't serve the position after `timeout` seconds, [] if all do."""
        waiting: Deferred[list[str]] = Deferred()
        behind = self.behind(position)
        if not behind or position is None:
            waiting.callback(behind)
            return waiting
        self._waiting.append((position, waiting))
        expiry = self._clock.callLater(timeout, self._expire, waiting, position)

        def ended(result: list[str]) -> list[str]:
            if expiry.active():
                expiry.cancel()
            return result

        return waiting.addBoth(ended)

    def progressed(self) -> None:
        """Some worker has applied something, come or gone."""
        for entry in list(self._waiting):
            position, waiting = entry
            if not self.behind(position):
                self._waiting.remove(entry)
                waiting.callback([])

    def _expire(self, waiting: Deferred[list[str]], position: Position) -> None:
        self._waiting = [entry for entry in self._waiting if entry[1] is not waiting]
        waiting.callback(self.behind(position))


def _is_before(served: Position | None, wanted: Position | None) -> bool:
    if wanted is None or served == wanted:
        return False
    if served is None or served.epoch != wanted.epoch:
        return True
    return served.revision < wanted.revision
