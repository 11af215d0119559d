"""Who watches Kubernetes: what the election of consoles is about, as far as the cluster is concerned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

from fengling_gateway.election import seat
from fengling_gateway.election.seat import Beat, Connection, Holder
from fengling_gateway.kubernetes import table
from fengling_gateway.kubernetes.table import DiscoveryTerm

_log = Logger()


class DiscoverySeat:
    """
    A `fengling_gateway.election.seat.Seat`: watching Kubernetes.

    Args:
        status: returns how it gets on, as JSON, for whoever asks another console; called on the
            candidate's thread with each heartbeat, so it must only return what is there. None: as
            it was.
    """

    name: Final = "kubernetes"

    def __init__(self, status: Callable[[], str | None] = lambda: None) -> None:
        self._status = status

    def try_lock(self, connection: Connection) -> bool:
        return seat.try_lock(connection, table.LOCK)

    def holder(self, connection: Connection) -> Holder:
        return seat.holder(connection, table.TABLE)

    def take_over(self, connection: Connection, name: str) -> DiscoveryTerm:
        return table.take_over(connection, name)

    def beat(self, connection: Connection, term: int) -> Beat:
        return table.beat(connection, term, self._status())

    def log_elected(self, term: int) -> None:
        _log.info("watching Kubernetes, in term {term}", term=term, log_id="kubernetes.elected")

    def log_lost(self, *, was_elected: bool, reason: str) -> None:
        _log.warn(
            "not watching Kubernetes{told}: {reason}",
            told=" any more" if was_elected else "",
            reason=reason,
            log_id="kubernetes.lost",
        )


SEAT: Final = DiscoverySeat()
"""Of who has nothing to say about itself."""
