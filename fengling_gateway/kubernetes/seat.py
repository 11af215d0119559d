"""The seat of who follows the cluster."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from fengling_gateway.election import seat
from fengling_gateway.election.seat import Beat, Connection, Holder
from fengling_gateway.kubernetes import table
from fengling_gateway.kubernetes.table import DiscoveryTerm

_log = Logger()


class DiscoverySeat:
    """
    Args:
        status: what is told with each heartbeat, as JSON; called on the candidate's thread.
    """

    name = "discovery"

    def __init__(self, status: Callable[[], str]) -> None:
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
        _log.info("following the cluster, in term {term}", term=term, log_id="kubernetes.elected")

    def log_lost(self, *, was_elected: bool, reason: str) -> None:
        _log.warn(
            "not following the cluster{told}: {reason}",
            told=" any more" if was_elected else "",
            reason=reason,
            log_id="kubernetes.lost",
        )
