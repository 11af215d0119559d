"""Who probes: what the election of consoles is about, as far as health is concerned."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from fengling_gateway.election import seat
from fengling_gateway.election.seat import Beat, Connection, Holder
from fengling_gateway.health import table
from fengling_gateway.health.table import Term

_log = Logger()


class ProberSeat:
    """A `fengling_gateway.election.seat.Seat`: probing instances."""

    name: Final = "health"

    def try_lock(self, connection: Connection) -> bool:
        return seat.try_lock(connection, table.LOCK)

    def holder(self, connection: Connection) -> Holder:
        return seat.holder(connection, table.TABLE)

    def take_over(self, connection: Connection, name: str) -> Term:
        return table.take_over(connection, name)

    def beat(self, connection: Connection, term: int) -> Beat:
        return table.beat(connection, term)

    def log_elected(self, term: int) -> None:
        _log.info("probing instances, in term {term}", term=term, log_id="health.elected")

    def log_lost(self, *, was_elected: bool, reason: str) -> None:
        _log.warn(
            "not probing instances{told}: {reason}",
            told=" any more" if was_elected else "",
            reason=reason,
            log_id="health.lost",
        )


SEAT: Final = ProberSeat()
