"""Ends workers that outlive their drain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.supervisor.link import WorkerLink

_log = Logger()

KILL_AFTER_DRAIN_SECONDS: Final = 2.0
"""What a draining worker gets beyond its deadline to exit by itself."""


class LastMoments:
    """When each draining worker is killed; `kill` ends one at once."""

    def __init__(self, *, clock: IReactorTime, kill: Callable[[WorkerLink], None]) -> None:
        self._clock = clock
        self._kill = kill
        self._moments: dict[WorkerLink, Any] = {}

    def limit(self, link: WorkerLink, deadline: float) -> None:
        """Have it end soon after `deadline` seconds; an earlier moment stays."""
        seconds = deadline + KILL_AFTER_DRAIN_SECONDS
        moment = self._moments.get(link)
        if moment is None:
            self._moments[link] = self._clock.callLater(seconds, self._outlived, link)
        elif moment.active() and moment.getTime() > self._clock.seconds() + seconds:
            moment.reset(seconds)  # a stop has less patience than a rolling restart

    def ended(self, link: WorkerLink) -> None:
        """Its process is gone."""
        moment = self._moments.pop(link, None)
        if moment is not None and moment.active():
            moment.cancel()

    def _outlived(self, link: WorkerLink) -> None:
        _log.warn(
            "worker {worker} (pid {pid}) outlived its drain",
            worker=link.name,
            pid=link.pid,
            log_id="worker.outlived_drain",
        )
        self._kill(link)
