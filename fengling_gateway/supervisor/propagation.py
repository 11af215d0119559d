"""Waits until workers serve what this host serves.

That is a position and a content hash: a comparison of everything may find
changes that no revision tells of, and a database that was set back has a lower
revision than what workers serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from fengling_gateway.model.delta import Position
from fengling_gateway.supervisor.link import WorkerLink, WorkerState

_COUNTED = (WorkerState.SERVING, WorkerState.STARTING, WorkerState.STALLED)


class Mark(NamedTuple):
    """What is served: where in the history of the source, and the hash of all of it."""

    position: Position | None
    content_hash: int


class Propagation:
    """
    Tells when every worker of this host serves what the host does, or which don't.

    Args:
        current: what the host serves now, and workers are to.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        links: Callable[[], Iterable[WorkerLink]],
        current: Callable[[], Mark],
    ) -> None:
        self._clock = clock
        self._links = links
        self._current = current
        self._waiting: list[tuple[Mark, Deferred[list[str]]]] = []

    @property
    def counted(self) -> int:
        """How many workers there are to serve it; draining ones aside."""
        return sum(1 for link in self._links() if link.state in _COUNTED)

    def behind(self, wanted: Mark | None = None) -> list[str]:
        """
        Return the names of the workers that don't serve it yet; draining ones aside.

        Args:
            wanted: what was current once, if that or anything later is enough.
        """
        current = self._current()
        wanted = wanted or current
        return [
            link.name
            for link in self._links()
            if link.state in _COUNTED
            and not _serves(Mark(link.served.position, link.served.content_hash), wanted, current)
        ]

    def wait(self, timeout: float) -> Deferred[list[str]]:
        """
        Return the workers that don't serve what is current now, or later, [] if all do.

        Args:
            timeout: seconds after which the answer comes in any case.
        """
        waiting: Deferred[list[str]] = Deferred()
        behind, wanted = self.behind(), self._current()
        if not behind:
            waiting.callback(behind)
            return waiting
        self._waiting.append((wanted, waiting))
        expiry = self._clock.callLater(timeout, self._expire, waiting, wanted)

        def ended(result: list[str]) -> list[str]:
            if expiry.active():
                expiry.cancel()
            return result

        return waiting.addBoth(ended)

    def progressed(self) -> None:
        """Some worker has applied something, come or gone."""
        for entry in list(self._waiting):
            wanted, waiting = entry
            if not self.behind(wanted):
                self._waiting.remove(entry)
                waiting.callback([])

    def _expire(self, waiting: Deferred[list[str]], wanted: Mark) -> None:
        self._waiting = [entry for entry in self._waiting if entry[1] is not waiting]
        waiting.callback(self.behind(wanted))


def _serves(served: Mark, wanted: Mark, current: Mark) -> bool:
    if wanted.position is None or served in (wanted, current):
        return True
    # Later than it only if the host has come further, too.
    if wanted == current or served.position is None:
        return False
    same = served.position.epoch == wanted.position.epoch
    return same and served.position.revision > wanted.position.revision
