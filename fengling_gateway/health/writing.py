"""
Verdicts on their way to the database: batched, retried, and never an old one after a newer.

The first of a quiet time is written at once, with all that comes in the same
turn. From then on there is a transaction each `BATCH_SECONDS` at most: each makes
a revision, and wakes every gateway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple, Protocol

import psycopg2
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from fengling_gateway.configsource.postgres_connection import Guarded, problem
from fengling_gateway.election.seat import TermOverError, application
from fengling_gateway.health import table
from fengling_gateway.health.table import Verdict

_log = Logger()

BATCH_SECONDS: Final = 0.1
MAX_BATCH: Final = 1000
"""Verdicts in one transaction, which takes some 50 ms; others who write wait for part of that."""
FIRST_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 3.0
WATCH_SECONDS: Final = 0.5

_NEVER: Final = (psycopg2.IntegrityError, psycopg2.DataError)
"""What would fail as often as it is tried."""


class Finding(NamedTuple):
    """A verdict, by when it was reached on the clock of who reached it."""

    instance_id: str
    health: str | None
    reason: str
    address: str
    at: float


@dataclass
class WriterCounts:
    """How much has been written, and how often that failed."""

    transactions: int = 0
    written: int = 0
    failures: int = 0
    dropped: int = 0


class Pen(Protocol):
    """Writes one batch in one transaction; the Deferred fails as `table.write` does."""

    def write(self, term: int, verdicts: Sequence[Verdict]) -> Deferred[None]: ...


class Writer:
    """
    Keeps what is to be written: of each instance the newest.

    Args:
        term_over: called when the database says that somebody else probes.

    Attributes:
        problem: why the last attempt failed; None if it did not.
    """

    def __init__(
        self, *, clock: IReactorTime, pen: Pen, rng: Random, term_over: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._pen = pen
        self._rng = rng
        self._term_over = term_over
        self._term: int | None = None
        self._waiting: dict[str, Finding] = {}
        self._under_way: dict[str, Finding] = {}
        self._is_writing = False
        self._call: Any = None
        self._not_before = float("-inf")
        self._backoff = FIRST_BACKOFF_SECONDS
        self._most = MAX_BATCH
        self._idle: list[Deferred[None]] = []
        self.counts = WriterCounts()
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<Writer of {len(self._waiting)}, {len(self._under_way)} under way>"

    def __len__(self) -> int:
        return len(self._waiting.keys() | self._under_way.keys())

    def __contains__(self, instance_id: str) -> bool:
        """Whether something is yet to be written of an instance."""
        return instance_id in self._waiting or instance_id in self._under_way

    def begin(self, term: int) -> None:
        """Write, in a term, also what has waited for one."""
        self._term = term
        self._plan()

    def pause(self) -> None:
        """Write nothing more, and keep it: this console may be the next to probe, too."""
        self._term = None
        self._cancel()

    def clear(self) -> None:
        """Forget what is not written: somebody else has probed since."""
        self._waiting.clear()
        self._under_way.clear()

    def put(self, finding: Finding) -> None:
        """Have a verdict written, instead of any that waits of the same instance."""
        # Anew at the end: whoever has waited for longest goes first.
        self._waiting.pop(finding.instance_id, None)
        self._waiting[finding.instance_id] = finding
        self._plan()

    def when_idle(self) -> Deferred[None]:
        """Return what fires when nothing can be written any more, or all is."""
        if self._is_idle():
            return succeed(None)
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        return idle

    def _is_idle(self) -> bool:
        return not self._is_writing and (self._term is None or not self._waiting)

    def _plan(self) -> None:
        if self._term is None or self._is_writing or not self._waiting or self._call is not None:
            return
        delay = max(0.0, self._not_before - self._clock.seconds())
        self._call = self._clock.callLater(delay, self._write)

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._tell_idle()

    def _tell_idle(self) -> None:
        if self._is_idle():
            idle, self._idle = self._idle, []
            for one in idle:
                one.callback(None)

    def _write(self) -> None:
        self._call = None
        term = self._term
        assert term is not None, "or the call would have been cancelled"
        now = self._clock.seconds()
        batch = [self._waiting[one] for one in list(self._waiting)[: self._most]]
        for one in batch:
            self._under_way[one.instance_id] = self._waiting.pop(one.instance_id)
        self._is_writing = True
        self._not_before = now + BATCH_SECONDS
        verdicts = [
            Verdict(one.instance_id, one.health, one.reason, max(0.0, now - one.at), one.address)
            for one in batch
        ]
        self._pen.write(term, verdicts).addCallbacks(self._written, self._failed).addErrback(
            self._surprised
        )

    def _written(self, _: None) -> None:
        self.counts.transactions += 1
        self.counts.written += len(self._under_way)
        self._under_way.clear()
        self._is_writing = False
        self.problem = None
        self._backoff = FIRST_BACKOFF_SECONDS
        self._most = min(2 * self._most, MAX_BATCH)
        self._go_on()

    def _failed(self, failure: Failure) -> None:
        self.counts.failures += 1
        error = failure.value
        assert error is not None, "or nothing would have failed"
        reason = problem(error)
        if self.problem is None:
            _log.warn(
                "verdicts can't be written: {reason}", reason=reason, log_id="health.unwritten"
            )
        self.problem = reason
        count, is_hopeless = len(self._under_way), isinstance(error, _NEVER)
        if is_hopeless and count == 1:
            self.counts.dropped += 1
        else:
            # What has come meanwhile is newer.
            self._waiting = {**self._under_way, **self._waiting}
        self._under_way.clear()
        self._is_writing = False
        if isinstance(error, TermOverError):
            self.pause()
            self._term_over(reason)
            return
        if is_hopeless:
            # One of them is to blame: the others go in smaller and smaller batches, until it is alone.
            self._most = max(1, count // 2)
            self._go_on()
            return
        pause = self._backoff * self._rng.uniform(0.5, 1.0)
        self._backoff = min(2 * self._backoff, MAX_BACKOFF_SECONDS)
        self._not_before = self._clock.seconds() + pause
        self._go_on()

    def _go_on(self) -> None:
        self._plan()
        self._tell_idle()

    def _surprised(self, failure: Failure) -> None:
        _log.failure("writing verdicts", failure, log_id="health.writer_failed")


class DatabasePen:
    """
    Writes by a thread and a connection of its own.

    Args:
        author: of the revisions.
    """

    def __init__(self, *, reactor: Any, dsn: str, connect_timeout: float, author: str) -> None:
        self._reactor = reactor
        self._dsn = dsn
        self._connect_timeout = connect_timeout
        self._author = author
        self._connection: Guarded | None = None
        self._thread = ThreadPool(1, 1, name="health writing")
        # Whoever does not stop it must still be able to exit.
        self._thread.threadFactory = partial(threading.Thread, daemon=True)  # type: ignore[assignment]
        self._watchdog = LoopingCall(self._watch)
        self._watchdog.clock = reactor

    def __repr__(self) -> str:
        return f"<DatabasePen of {self._author}>"

    def start(self) -> None:
        self._thread.start()
        self._watchdog.start(WATCH_SECONDS, now=False)

    def stop(self) -> Deferred[None]:
        """Stop; fires when the thread has ended. What is being written is broken off."""
        if not self._watchdog.running:
            return succeed(None)
        connection = self._connection
        if connection is not None:
            connection.abort()
        last: Deferred[None] = Deferred()
        self._thread.callInThreadWithCallback(
            lambda *_: self._reactor.callFromThread(last.callback, None), self._close
        )
        return last.addCallback(lambda _: self._end())

    def write(self, term: int, verdicts: Sequence[Verdict]) -> Deferred[None]:
        done: Deferred[None] = Deferred()

        def told(succeeded: bool, result: Any) -> None:
            tell = done.callback if succeeded else done.errback
            self._reactor.callFromThread(tell, result)

        self._thread.callInThreadWithCallback(told, self._write, term, verdicts)
        return done

    def _end(self) -> None:
        self._watchdog.stop()
        self._thread.stop()

    def _watch(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.abort_overdue()

    # On the thread

    def _write(self, term: int, verdicts: Sequence[Verdict]) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = Guarded(
                    self._dsn,
                    connect_timeout=self._connect_timeout,
                    application=application(self._author),
                )
            table.write(self._connection, term, self._author, verdicts)
        except TermOverError:
            raise
        except Exception:
            self._close()  # whatever state it is in, the next one begins well
            raise

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
