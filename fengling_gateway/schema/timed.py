"""
A psycopg2 connection for commands: it blocks, and yet each of its steps ends.

The server's own timeouts are no help against a server that is frozen, or a
network that swallows everything: psycopg2 waits until it is answered. So a
timer runs along with each step, and shuts the socket down when it is over.
(A gateway has threads that look after each other instead: see
`fengling_gateway.configsource.postgres_connection`.)
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg2
from psycopg2 import extensions

from fengling_gateway.schema.dsn import connect

CONNECT_SECONDS: Final = 10
STATEMENT_SECONDS: Final = 60.0
"""What commands set as ``statement_timeout``, and how long they wait for COMMIT."""

GRACE_SECONDS: Final = 2.0
"""How much longer we wait than the server is told to try: its error says more than ours."""


class TimedConnection(extensions.connection):
    """``step_seconds`` is how long a statement or a COMMIT may take, from the next one on."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = _TimedCursor
        self.step_seconds = STATEMENT_SECONDS + GRACE_SECONDS
        # Of our own: libpq may close its descriptor, and somebody else be given the number.
        self._socket = socket.socket(fileno=os.dup(self.fileno()))
        self._lock = threading.Lock()
        self._steps = 0
        self._is_given_up = False

    def commit(self) -> None:
        with self.step():
            super().commit()

    def rollback(self) -> None:
        with self.step():
            super().rollback()

    def close(self) -> None:
        self._socket.close()
        super().close()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Break the connection if the block takes too long; then its error says so."""
        seconds = self.step_seconds
        timer = threading.Timer(seconds, self._give_up, [self._steps])
        timer.daemon = True
        timer.start()
        try:
            yield
        except psycopg2.Error as error:
            if self._is_given_up:
                raise psycopg2.OperationalError(
                    f"no answer from the server within {seconds:g} s"
                ) from error
            raise
        finally:
            with self._lock:
                self._steps += 1
            timer.cancel()

    def break_off(self) -> None:
        """End what is under way, and the connection with it. For any thread."""
        with self._lock:
            self._break()

    def _give_up(self, step: int) -> None:
        with self._lock:
            if step != self._steps:
                return  # it has just ended
            self._is_given_up = True
            self._break()

    def _break(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # broken already, which is what we want


class _TimedCursor(extensions.cursor):
    connection: TimedConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2's name
        with self.connection.step():
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        with self.connection.step():
            super().executemany(query, vars_list)


def connect_timed(dsn: str, application: str) -> TimedConnection:
    """
    Return a connection; blocks.

    Raises:
        psycopg2.Error: as `connect` does.
    """
    connection: TimedConnection = connect(
        dsn,
        connect_timeout=CONNECT_SECONDS,
        fallback_application_name=application,
        connection_factory=TimedConnection,
    )
    return connection
