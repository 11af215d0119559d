"""
Who probes: one console of all, chosen by PostgreSQL.

The thread's life::

    connect → try the lock ⇄ somebody else has it: look again
       ↑          └→ take over: term + 1, what is known ─→ heartbeat ⇄ each second
       └───── back off ←── any error, and a heartbeat that finds another term ←──┘

The lock is the session's. A holder that dies loses it at once. One that is
stopped, or cut off, loses it when the server ends the silent session, after
`IDLE_SECONDS`; so this side believes in its term for no longer than that after
the last heartbeat. Whatever a holder does that wakes up later, it does in an
old term: the database refuses its verdicts (schema 0004).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from fengling_gateway.configsource.postgres_connection import Guarded, problem
from fengling_gateway.health import table
from fengling_gateway.health.table import Holder, Term, TermOverError

_log = Logger()

HEARTBEAT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.5
"""How often to try the lock that somebody else has."""
LEASE_SECONDS: Final = float(table.IDLE_SECONDS)
"""So long after the beginning of a heartbeat nobody else can have the lock."""
WATCH_SECONDS: Final = 0.2
FIRST_BACKOFF_SECONDS: Final = 0.1
MAX_BACKOFF_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class CandidateEvents:
    """
    Whom to tell. Called on the candidate's thread.

    Attributes:
        elected, beaten: told when, on the monotonic clock, the server was asked.
    """

    waiting: Callable[[Holder], None]
    elected: Callable[[Term, float], None]
    beaten: Callable[[int, float], None]
    lost: Callable[[str], None]


class Candidate:
    """
    Stands for election until it is stopped.

    Args:
        jitter: returns a factor from 0.5 to 1 for the next pause.
    """

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        connect_timeout: float,
        events: CandidateEvents,
        jitter: Callable[[], float],
    ) -> None:
        self._dsn = dsn
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
            except Exception as error:  # whatever it is, nobody probing would be worse
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
            application=table.application(self._name),
        )
        table.open_session(connection)
        while not self._stopped.is_set():
            if table.try_lock(connection):
                self._probe(connection)
                return
            self._events.waiting(table.holder(connection))
            self._stopped.wait(LOOK_SECONDS)

    def _probe(self, connection: Guarded) -> None:
        term = table.take_over(connection, self._name)
        # Reading what is known may take longer than a lease: that begins with the first heartbeat.
        began = time.monotonic()
        pid = table.beat(connection, term.number)
        self._events.elected(term, began)
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            began = time.monotonic()
            # A pooler might give us another session, which does not have the lock.
            if table.beat(connection, term.number) != pid:
                raise TermOverError(
                    "the session is not the same any more: is a pooler between? "
                    "Give database.listen_url a direct connection"
                )
            self._events.beaten(term.number, began)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class CandidateLike(Protocol):
    """What is needed of a `Candidate`."""

    def run(self) -> None: ...

    def stop(self) -> None: ...

    def abort(self) -> None: ...

    def abort_overdue(self) -> None: ...


class ElectionUser(Protocol):
    """Who is told, on the reactor thread."""

    def elected(self, term: Term) -> None:
        """Probe, in this term."""

    def beaten(self, term: int) -> None:
        """The term goes on."""

    def term_lost(self, reason: str) -> None:
        """Stop probing, at once. Not called without `elected` before."""


class Election:
    """
    The side of the reactor; every method is for its thread.

    Args:
        stand: makes the candidate, given whom to tell.
        monotonic: the clock of the thread's.

    Attributes:
        holder: who else was seen to probe last.
        problem: why this console can't stand for election; None if it can.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        stand: Callable[[CandidateEvents], CandidateLike],
        user: ElectionUser,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._user = user
        self._monotonic = monotonic
        self._term: int | None = None
        self._until = 0.0
        self._started = self._stopped = False
        self.holder: Holder | None = None
        self.problem: str | None = None
        tell = reactor.callFromThread
        self._candidate = stand(
            CandidateEvents(
                waiting=partial(tell, self._waiting),
                elected=partial(tell, self._elected),
                beaten=partial(tell, self._beaten),
                lost=partial(tell, self._lost),
            )
        )
        self._thread = ThreadPool(1, 1, name="health election")
        # Whoever does not stop it must still be able to exit.
        self._thread.threadFactory = partial(threading.Thread, daemon=True)  # type: ignore[assignment]
        self._ended: Deferred[None] = Deferred()
        self._watchdog = LoopingCall(self._watch)
        self._watchdog.clock = reactor

    def __repr__(self) -> str:
        return f"<Election {'waiting' if self._term is None else f'won, term {self._term}'}>"

    @property
    def term(self) -> int | None:
        """The term in which this console probes; None when it may not, or may be too late."""
        return self._term if self._monotonic() < self._until else None

    def start(self) -> None:
        self._started = True
        self._thread.start()
        self._thread.callInThreadWithCallback(
            lambda *_: self._reactor.callFromThread(self._ended.callback, None),
            self._candidate.run,
        )
        self._watchdog.start(WATCH_SECONDS, now=False)

    def stop(self) -> Deferred[None]:
        """Stop, and let somebody else; fires when the thread has ended."""
        if not self._started or self._stopped:
            return succeed(None)
        self._stopped = True
        self._term = None
        self._candidate.stop()
        return self._ended.addCallback(lambda _: self._end())

    def resign(self, reason: str) -> None:
        """Give the term up: somebody has learnt that it is over."""
        self._candidate.abort()
        self._lost(reason)

    def _end(self) -> None:
        if self._watchdog.running:
            self._watchdog.stop()
        self._thread.stop()

    def _watch(self) -> None:
        self._candidate.abort_overdue()
        if self._term is not None and self.term is None:
            # The thread may still believe in it; it begins anew, too.
            self.resign(f"no heartbeat for {LEASE_SECONDS:g} s")

    # What the thread tells

    def _waiting(self, holder: Holder) -> None:
        self.holder, self.problem = holder, None

    def _elected(self, term: Term, asked_at: float) -> None:
        if self._stopped:
            return
        self._until = asked_at + LEASE_SECONDS
        if self._monotonic() >= self._until:
            self._candidate.abort()
            return
        self._term, self.problem, self.holder = term.number, None, None
        _log.info("probing instances, in term {term}", term=term.number, log_id="health.elected")
        self._user.elected(term)
        self._beaten(term.number, asked_at)  # unless it has been given up again

    def _beaten(self, term: int, asked_at: float) -> None:
        if term == self._term:
            self._until = asked_at + LEASE_SECONDS
            self._user.beaten(term)

    def _lost(self, reason: str) -> None:
        if self._stopped:
            return
        term, self._term = self._term, None
        if self.problem is None:
            _log.warn(
                "not probing instances{told}: {reason}",
                told="" if term is None else " any more",
                reason=reason,
                log_id="health.lost",
            )
        self.problem = reason
        if term is not None:
            self._user.term_lost(reason)
