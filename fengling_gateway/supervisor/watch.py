"""Notices workers that have fallen silent, or do not come to serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from fengling_gateway.supervisor.link import WorkerLink, WorkerState

WATCH_INTERVAL_SECONDS: Final = 0.5
STALLED_AFTER_SECONDS: Final = 2.0
"""Two heartbeats missed: a sibling reads its sockets too."""

READY_WITHIN_SECONDS: Final = 60.0
"""A worker that serves nothing by then is replaced; 100,000 routes take a few seconds."""


class Watch:
    """
    Looks after all workers, twice a second.

    Args:
        links: the workers there are.
        heartbeat_timeout: the silence in seconds after which a worker hangs.
        siblings_serve: whether others serve, so that there is something to serve
            and not serving it is a fault.
        stalled: told of a worker that has just missed heartbeats.
        hangs: told of one that is beyond hope.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        links: Callable[[], Iterable[WorkerLink]],
        heartbeat_timeout: float,
        siblings_serve: Callable[[WorkerLink], bool],
        stalled: Callable[[WorkerLink], None],
        hangs: Callable[[WorkerLink], None],
    ) -> None:
        self._clock = clock
        self._links = links
        self._heartbeat_timeout = heartbeat_timeout
        self._siblings_serve = siblings_serve
        self._stalled = stalled
        self._hangs = hangs
        self._timer: Any = None
        self._due = 0.0

    def start(self) -> None:
        self._timer = self._clock.callLater(WATCH_INTERVAL_SECONDS, self._look_after_all)
        self._due = self._clock.seconds() + WATCH_INTERVAL_SECONDS

    def stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _look_after_all(self) -> None:
        late = self._clock.seconds() - self._due
        self.start()
        for link in self._links():
            if late > WATCH_INTERVAL_SECONDS:
                # We were stopped, or the clock was set: what was said is still to be read.
                link.excuse(late)
            silent_seconds = self._clock.seconds() - link.last_heard
            if link.state is WorkerState.STARTING:
                self._look_after_start(link, silent_seconds)
            elif link.state is not WorkerState.DRAINING:
                self._look_after(link, silent_seconds)

    def _look_after_start(self, link: WorkerLink, silent_seconds: float) -> None:
        if self._clock.seconds() - link.started_at < READY_WITHIN_SECONDS:
            return
        if silent_seconds > READY_WITHIN_SECONDS or self._siblings_serve(link):
            self._hangs(link)

    def _look_after(self, link: WorkerLink, silent_seconds: float) -> None:
        if silent_seconds > self._heartbeat_timeout:
            self._hangs(link)
        elif link.state is WorkerState.SERVING and silent_seconds > STALLED_AFTER_SECONDS:
            self._stalled(link)
