"""
A psycopg2 connection whose every step ends, also when the server is frozen.

psycopg2 blocks its thread until the server answers, and no timeout of the
server helps against a server that has been stopped with SIGSTOP. So every step
here has a deadline, and somebody else, on another thread, calls
`Guarded.abort_overdue` now and then. It shuts the socket down underneath: the
blocked thread wakes up with an error. (``cancel()`` would ask the same frozen
server, and ``close()`` from another thread waits for the step to end.)
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from fengling_gateway.schema.dsn import connect

GRACE_SECONDS: Final = 2.0
"""How much longer than the server's own timeout we wait: its error says more than ours."""

_LIBPQ: Final = {
    # An idle connection whose peer has vanished is noticed after 5 + 3 × 2 seconds,
    # one with data on the way after 10.
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


class Guarded:
    """
    One connection, in autocommit, used by one thread at a time.

    Args:
        dsn: URL or key=value form; what it says goes before our own options.
        connect_timeout: seconds for each host it names.
        application: what the database calls us, unless the DSN says something else.

    Raises:
        psycopg2.Error: from every method that talks, also for an aborted step.
    """

    def __init__(
        self, dsn: str, *, connect_timeout: float, application: str = "fengling-gateway"
    ) -> None:
        self._connection = connect(
            dsn,
            **_LIBPQ,
            connect_timeout=str(max(1, math.ceil(connect_timeout))),
            fallback_application_name=application,
        )
        self._connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        # Of our own, so that abort() can't hit a descriptor that libpq has closed and
        # somebody else has been given since.
        self._socket = socket.socket(fileno=os.dup(self._connection.fileno()))
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Guarded {'closed' if self.closed else 'open'}>"

    @property
    def raw(self) -> Any:
        """The psycopg2 connection; wrap what blocks in `step`."""
        return self._connection

    @property
    def closed(self) -> bool:
        return self._closed or self._connection.closed != 0

    def fileno(self) -> int:
        descriptor: int = self._connection.fileno()
        return descriptor

    def execute(
        self, sql: str, arguments: Sequence[Any] | dict[str, Any] | None = None, *, within: float
    ) -> list[tuple[Any, ...]]:
        """Run SQL and return its rows, none if it has none; several statements give the last's."""
        with self.step(within), self._connection.cursor() as cursor:
            cursor.execute(sql, arguments)
            return cursor.fetchall() if cursor.description is not None else []

    def step(self, within: float) -> _Step:
        """Return a context in which the connection may be used for at most `within` seconds."""
        return _Step(self, within)

    def abort_overdue(self) -> bool:
        """Abort a step that is past its deadline; whether there was one. Any thread."""
        with self._lock:
            overdue = self._deadline is not None and time.monotonic() > self._deadline
            if overdue:
                self._break()
        return overdue

    def abort(self) -> None:
        """Break the connection now; whoever waits for it gets an error. Any thread."""
        with self._lock:
            self._break()

    def _break(self) -> None:
        if self._closed:
            return
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # broken already, which is what we want

    def close(self) -> None:
        """Close it; only for the thread that uses it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._socket.close()
        self._connection.close()

    def _expect_end(self, deadline: float | None) -> None:
        with self._lock:
            self._deadline = deadline


class _Step:
    """The time in which a thread may be blocked in a connection."""

    __slots__ = ("_connection", "_within")

    def __init__(self, connection: Guarded, within: float) -> None:
        self._connection = connection
        self._within = within

    def __enter__(self) -> None:
        self._connection._expect_end(time.monotonic() + self._within)

    def __exit__(self, *_: object) -> None:
        self._connection._expect_end(None)


def problem(error: BaseException) -> str:
    """Say in one line what PostgreSQL, libpq or psycopg2 has to say."""
    diagnosis = getattr(error, "diag", None)
    message = getattr(diagnosis, "message_primary", None) or str(error)
    return "; ".join(line.strip() for line in message.splitlines() if line.strip()) or (
        type(error).__name__
    )
