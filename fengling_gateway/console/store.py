"""
Connections to the database for whoever has a question, in threads of their own.

A question is a plain function of a psycopg2 connection. It gets one that works
and nobody else uses; whatever becomes of the question, the connection comes
back as it was, or is thrown away.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import psycopg2
from psycopg2 import extensions
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from fengling_gateway.schema import SchemaError, check
from fengling_gateway.schema.timed import TimedConnection, connect_timed
from fengling_gateway.schema.version import one_line

P = ParamSpec("P")
T = TypeVar("T")

MAX_WAITING: Final = 200
"""Questions that wait for a connection; more are refused at once."""

_REFUSALS: Final = ("22", "23", "42", "55", "P0")
"""
Classes of errors about what is to be written: data, constraints, rights, states, our own refusals.

(https://www.postgresql.org/docs/current/errcodes-appendix.html)
"""

STEP_SECONDS: Final = 10.0
"""For a statement, or a COMMIT: somebody is waiting at a page."""

LOOK_SECONDS: Final = 2.0
"""For finding out whether a connection that was kept still works."""

END_SECONDS: Final = 3.0
"""For questions that are under way when all is to end; what waits for longer waits for others."""


class StoreError(Exception):
    """The database does not answer, or not as it should; the message is a line for operators."""


class StoreBusyError(StoreError):
    """Too many are asking already."""


class RefusedError(Exception):
    """
    The database refuses what somebody wants to write; nothing is written.

    Attributes:
        hint: what may help, empty if the database says nothing.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Store:
    """
    Asks the database.

    Methods are for the reactor's thread; questions run in others.

    Args:
        connections: open at most, and questions under way.
        application: how the database names us.
    """

    def __init__(self, *, reactor: Any, dsn: str, connections: int, application: str) -> None:
        self._reactor = reactor
        self._dsn = dsn
        self._application = application
        self._threads = ThreadPool(0, connections, name="store")
        self._idle: deque[TimedConnection] = deque()
        self._asking: set[TimedConnection] = set()
        self._lock = threading.Lock()
        self._waiting = 0
        self._most_waiting = MAX_WAITING + connections
        self._stopped = False
        self.questions = 0
        self.failures = 0

    def __repr__(self) -> str:
        return f"<Store {self._waiting} waiting>"

    def start(self) -> None:
        self._threads.start()

    def stop(self) -> Deferred[None]:
        """Refuse new questions; fires when those under way have ended, or have been broken off."""
        if self._stopped or not self._threads.started:
            self._stopped = True
            return succeed(None)
        self._stopped = True
        # (Within a thread, for stop() waits for the others.)
        ended: Deferred[None] = Deferred()

        breaking = threading.Timer(END_SECONDS, self._break_off)
        breaking.daemon = True
        breaking.start()

        def end() -> None:
            self._threads.stop()
            breaking.cancel()
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._reactor.callFromThread(ended.callback, None)

        thread = threading.Thread(target=end, name="store-end", daemon=True)
        thread.start()
        return ended

    def run(
        self, question: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """
        Ask a question in a thread, with a connection of its own.

        What it leaves open of a transaction is rolled back.

        Returns:
            its answer. Fails with `StoreError`, or with what the question raises
            other than psycopg2's errors.
        """
        answer: Deferred[T]
        if self._stopped:
            answer = Deferred()
            answer.errback(StoreError("the console is stopping"))
            return answer
        if self._waiting >= self._most_waiting:
            answer = Deferred()
            answer.errback(StoreBusyError("too many requests wait for the database"))
            return answer
        self._waiting += 1
        self.questions += 1
        answer = deferToThreadPool(
            self._reactor,
            self._threads,
            self._ask,
            lambda connection: question(connection, *args, **kwargs),
        )
        return answer.addBoth(self._answered)

    def _answered(self, result: T) -> T:
        self._waiting -= 1
        return result

    def _break_off(self) -> None:
        with self._lock:
            for connection in self._asking:
                connection.break_off()

    # In a thread

    def _ask(self, question: Callable[[Any], T]) -> T:
        connection = self._take()
        with self._lock:
            self._asking.add(connection)
        try:
            return question(connection)
        except psycopg2.Error as error:
            if (error.pgcode or "")[:2] in _REFUSALS:
                raise RefusedError(
                    error.diag.message_primary or one_line(error), error.diag.message_hint or ""
                ) from error
            self._failed()
            what = "the connection to the database broke" if connection.closed else "the database"
            raise StoreError(f"{what}: {one_line(error)}") from error
        finally:
            self._give_back(connection)

    def _take(self) -> TimedConnection:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None and self._works(connection):
            return connection
        try:
            connection = connect_timed(self._dsn, self._application)
            connection.step_seconds = STEP_SECONDS + 1
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection
        except psycopg2.Error as error:
            self._failed()
            raise StoreError(f"the database can't be reached: {one_line(error)}") from error
        except SchemaError as error:
            self._failed()
            raise StoreError(str(error)) from error

    def _works(self, connection: TimedConnection) -> bool:
        """Whether one that was kept still works: its server may have been restarted."""
        usual, connection.step_seconds = connection.step_seconds, LOOK_SECONDS
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT")
            connection.rollback()
        except psycopg2.Error:
            connection.close()
            return False
        connection.step_seconds = usual
        return True

    def _prepare(self, connection: TimedConnection) -> None:
        with connection.cursor() as cursor:
            # Names without a schema mean PostgreSQL's own, whatever others make in the database.
            cursor.execute("SET search_path = pg_catalog, pg_temp")
            cursor.execute(f"SET statement_timeout = {STEP_SECONDS * 1000:.0f}")
            cursor.execute(f"SET lock_timeout = {STEP_SECONDS * 1000:.0f}")
            cursor.execute("SET idle_in_transaction_session_timeout = '30s'")
        connection.commit()
        check(connection)
        connection.rollback()

    def _give_back(self, connection: TimedConnection) -> None:
        try:
            if connection.status != extensions.STATUS_READY:
                connection.rollback()
            connection.set_session(isolation_level="READ COMMITTED", readonly=False)
            del connection.notices[:]
        except psycopg2.Error:
            connection.close()
        with self._lock:
            self._asking.discard(connection)
            if not connection.closed:
                self._idle.append(connection)

    def _failed(self) -> None:
        with self._lock:
            self.failures += 1
