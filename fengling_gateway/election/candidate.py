"""
A thread that stands for election.

Its life::

    connect → try the lock ⇄ somebody else has it: look again
       ↑          └→ take over: term + 1, what is known ─→ heartbeat ⇄ each second
       └───── back off ←── any error, and a heartbeat that finds another term ←──┘

The lock is the session's. A holder that dies loses it at once. One that is
stopped, or cut off, loses it when the server ends the silent session, after
`IDLE_SECONDS`; so this side believes in its term for no longer than that after
the last heartbeat. Whatever a holder does that wakes up later, it does in an
old term: what it writes is refused by that (health's by a trigger of schema 0004,
discovery's by a look at the term in the same transaction).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic

from fengling_gateway.configsource.postgres_connection import Guarded, problem
from fengling_gateway.election.seat import (
    IDLE_SECONDS,
    Beat,
    Holder,
    Seat,
    TermOverError,
    TermT,
    application,
    open_session,
)

HEARTBEAT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.5
"""How often to try the lock that somebody else has."""
LEASE_SECONDS: Final = float(IDLE_SECONDS)
"""So long after the beginning of a heartbeat nobody else can have the lock."""
FIRST_BACKOFF_SECONDS: Final = 0.1
MAX_BACKOFF_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class CandidateEvents(Generic[TermT]):
    """
    Whom to tell. Called on the candidate's thread.

    Attributes:
        elected, beaten: told what a heartbeat brought back, and when, on the monotonic clock, the
            server was asked.
    """

    waiting: Callable[[Holder], None]
    elected: Callable[[TermT, Beat, float], None]
    beaten: Callable[[int, Beat, float], None]
    lost: Callable[[str], None]


class Candidate(Generic[TermT]):
    """
    Stands for election until it is stopped.

    Args:
        seat: what for.
        dsn: of a direct connection, no pooler between: the one whose life is the term.
        name: of this console: the holder of the term.
        jitter: returns a factor from 0.5 to 1 for the next pause.
    """

    def __init__(
        self,
        dsn: str,
        *,
        seat: Seat[TermT],
        name: str,
        connect_timeout: float,
        events: CandidateEvents[TermT],
        jitter: Callable[[], float],
    ) -> None:
        self._dsn = dsn
        self._seat = seat
        self._name = name
        self._connect_timeout = connect_timeout
        self._events = events
        self._jitter = jitter
        self._connection: Guarded | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Stand; returns after `stop`. Blocks."""
        backoff = FIRST_BACKOFF_SECONDS
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._stand()
            except Exception as error:  # whatever it is, nobody standing would be worse
                if not self._stopped.is_set():
                    self._events.lost(problem(error))
            finally:
                self._close()
            if time.monotonic() - began > 2 * MAX_BACKOFF_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            self._stopped.wait(backoff * self._jitter())
            backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)

    def stop(self) -> None:
        """Make `run` return, and give the lock back. Any thread."""
        self._stopped.set()
        self.abort()

    def abort(self) -> None:
        """Break the connection; `run` begins anew. Any thread."""
        connection = self._connection
        if connection is not None:
            connection.abort()

    def abort_overdue(self) -> None:
        """Break a connection that does not answer. Any thread."""
        connection = self._connection
        if connection is not None:
            connection.abort_overdue()

    def _stand(self) -> None:
        connection = self._connection = Guarded(
            self._dsn,
            connect_timeout=self._connect_timeout,
            application=application(self._name),
        )
        open_session(connection)
        while not self._stopped.is_set():
            if self._seat.try_lock(connection):
                self._hold(connection)
                return
            self._events.waiting(self._seat.holder(connection))
            self._stopped.wait(LOOK_SECONDS)

    def _hold(self, connection: Guarded) -> None:
        term = self._seat.take_over(connection, self._name)
        # Reading what is known may take longer than a lease: that begins with the first heartbeat.
        began = time.monotonic()
        first = self._seat.beat(connection, term.number)
        self._events.elected(term, first, began)
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            began = time.monotonic()
            beat = self._seat.beat(connection, term.number)
            # A pooler might give us another session, which does not have the lock.
            if beat.pid != first.pid:
                raise TermOverError(
                    "the session is not the same any more: is a pooler between? "
                    "Give database.listen_url a direct connection"
                )
            self._events.beaten(term.number, beat, began)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
