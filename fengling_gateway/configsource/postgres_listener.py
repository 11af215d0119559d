"""
Listening for notifications: what the listening thread does.

Life of a connection::

    connect → LISTEN → prove it → tell "connected" ─┐
       ↑                                            ├→ wait ⇄ notification, read ahead
       └──── back off ←──── any error ←─────────────┘       ⇄ heartbeat

A pooler in transaction mode accepts LISTEN and then delivers nothing, so a
notification sent over a second connection has to arrive before this one
counts as listening.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from fengling_gateway.configsource.postgres_ahead import AheadReader
from fengling_gateway.configsource.postgres_connection import Guarded, problem
from fengling_gateway.configsource.reading import Reading
from fengling_gateway.model.delta import Position

CHANNEL: Final = "gateway_config_changed"
HEARTBEAT_SECONDS: Final = 5.0
"""After that long without a sound, ask whether the server is still there."""
ANSWER_SECONDS: Final = 5.0
"""How long it may take to answer."""
FIRST_BACKOFF_SECONDS: Final = 0.1
MAX_BACKOFF_SECONDS: Final = 3.0
"""The promise is to serve what is newest 5 s after the server is back."""
UNPROVEN_SECONDS: Final = 30.0
"""How long to wait before trying again what a pooler does not let through."""


class NotDeliveredError(Exception):
    """LISTEN was accepted, but notifications do not arrive."""


@dataclass(frozen=True, slots=True)
class ListenerEvents:
    """
    Whom to tell, and ask. Called on the listening thread.

    Attributes:
        position: after which to read ahead; None to leave that.
        expected: told of a position that is about to be read.
        notified: told of payloads, and what has been read since they arrived.
        not_ahead: told why no more is read ahead until the next ``connected``.
    """

    connected: Callable[[], None]
    position: Callable[[], Position | None]
    expected: Callable[[Position], None]
    notified: Callable[[list[str], Reading | None], None]
    not_ahead: Callable[[str], None]
    lost: Callable[[str], None]


class Listener:
    """
    Listens until it is stopped.

    Args:
        jitter: returns a factor from 0.5 to 1 for the next pause.
    """

    def __init__(
        self,
        dsn: str,
        *,
        connect_timeout: float,
        events: ListenerEvents,
        jitter: Callable[[], float],
    ) -> None:
        self._dsn = dsn
        self._connect_timeout = connect_timeout
        self._events = events
        self._jitter = jitter
        self._connection: Guarded | None = None
        self._believes = True
        self._stopped = threading.Event()
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> None:
        """Listen; returns after `stop`. Blocks."""
        backoff = FIRST_BACKOFF_SECONDS
        while not self._stopped.is_set():
            began = time.monotonic()
            pause: float | None = None
            try:
                self._listen()
            except NotDeliveredError as error:
                self._events.lost(str(error))
                pause = UNPROVEN_SECONDS
            except Exception as error:  # whatever it is, not listening would be worse
                if not self._stopped.is_set():
                    self._events.lost(problem(error))
            finally:
                self._close()
            if time.monotonic() - began > 2 * MAX_BACKOFF_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            self._stopped.wait((pause or backoff) * self._jitter())
            backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)
        os.close(self._wake_read)

    def stop(self) -> None:
        """Make `run` return. Any thread; once."""
        self._stopped.set()
        os.close(self._wake_write)  # which the reading end sees
        connection = self._connection
        if connection is not None:
            connection.abort()

    def abort_overdue(self) -> None:
        """Break a connection that does not answer. Any thread."""
        connection = self._connection
        if connection is not None:
            connection.abort_overdue()

    def _listen(self) -> None:
        connection = self._connection = Guarded(self._dsn, connect_timeout=self._connect_timeout)
        connection.execute(f"LISTEN {CHANNEL}", within=ANSWER_SECONDS)
        self._prove(connection)
        self._events.connected()
        ahead = AheadReader(connection)
        while not self._stopped.is_set():
            while self._deliver(connection, ahead):
                pass
            if not self._wait(connection, HEARTBEAT_SECONDS):
                # After its backend was killed, a connection may look fine until it is used.
                connection.execute("SELECT 1", within=ANSWER_SECONDS)

    def _prove(self, connection: Guarded) -> None:
        proof = f"fengling_{secrets.token_hex(8)}"
        connection.execute(f"LISTEN {proof}", within=ANSWER_SECONDS)
        other = Guarded(self._dsn, connect_timeout=self._connect_timeout)
        try:
            other.execute(f"NOTIFY {proof}", within=ANSWER_SECONDS)
        finally:
            other.close()
        deadline = time.monotonic() + ANSWER_SECONDS
        notifies = connection.raw.notifies
        while not any(one.channel == proof for one in notifies):
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotDeliveredError(
                    "notifications do not arrive: is a pooler between? "
                    "Give database.listen_url a direct connection. Polling meanwhile"
                )
            self._wait(connection, left)
            if self._stopped.is_set():
                return
        connection.execute(f"UNLISTEN {proof}", within=ANSWER_SECONDS)

    def _wait(self, connection: Guarded, seconds: float) -> bool:
        """Wait for the server or for `stop`; whether anything came."""
        ready = select.poll()
        ready.register(connection.fileno(), select.POLLIN)
        ready.register(self._wake_read, select.POLLIN)
        came = bool(ready.poll(seconds * 1000))
        if came and not self._stopped.is_set():
            with connection.step(ANSWER_SECONDS):
                connection.raw.poll()
        return came

    def _deliver(self, connection: Guarded, ahead: AheadReader) -> bool:
        """Pass on what has arrived; whether anything had."""
        # Every command may bring notifications, and then the descriptor says nothing of them.
        notifies = connection.raw.notifies
        payloads = [one.payload for one in notifies if one.channel == CHANNEL]
        notifies.clear()
        if not payloads:
            return False
        reading = None
        try:
            reading = self._read_ahead(ahead, payloads[-1])
        finally:
            self._events.notified(payloads, reading)
        return True

    def _read_ahead(self, ahead: AheadReader, payload: str) -> Reading | None:
        position = self._events.position()
        if position is None or ahead.problem is not None:
            return None
        expected = announced_position(payload)
        if expected is not None and not expected.follows(position):
            expected = None
        if expected is not None and self._believes:
            self._events.expected(expected)
        reading = ahead.read(position)
        if expected is not None and reading is not None:
            # Any user of the database can send such payloads. Whoever names what does not exist
            # is to disturb the cluster once, not as often as they like.
            self._believes = not expected.follows(reading.target)
        if ahead.problem is not None:
            self._events.not_ahead(ahead.problem)
        return reading

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_MAX_REVISION: Final = 2**63 - 1
_TOKEN: Final = re.compile(r"[0-9a-f-]{36}")

_KNOWN: Final[dict[str, type]] = {
    "eventType": str,
    "action": str,
    "timestamp": str,
    "details": dict,
    "epoch": str,
    "revision": int,
}


def merged(hint: dict[str, Any], payloads: Iterable[str]) -> dict[str, Any]:
    """
    Make one hint of an earlier one and of payloads that came after it.

    Whatever a payload is, it is a reason to look: text that is no JSON, or JSON
    of another shape, only adds to ``count``. Later ones win, but ``action``
    stays "reload" once somebody has asked for that.
    """
    result = {"count": 0, **hint}
    for payload in payloads:
        is_reload = result.get("action") == "reload"
        result["count"] += 1
        result.update(_said(payload))
        if is_reload:
            result["action"] = "reload"
    return result


def announced_position(payload: str) -> Position | None:
    """Return the position that a payload of our own names, unless it is held; else None."""
    said = _said(payload)
    details = said.get("details", {})
    revision, token = said.get("revision"), details.get("token")
    if details.get("held") is not False or not isinstance(token, str):
        return None
    # What others would not take for a position is not to reach them under our signature.
    if type(revision) is not int or revision > _MAX_REVISION or not _TOKEN.fullmatch(token):
        return None
    return Position(said.get("epoch", ""), revision, token)


def _said(payload: str) -> dict[str, Any]:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: said[name] for name, kind in _KNOWN.items() if isinstance(said.get(name), kind)}
