"""
Whether LISTEN delivers: what is sent on the very channel is heard in another session.

Gateways that hear the proof look at the database, as after every notification,
and find nothing new.
"""

from __future__ import annotations

import json
import secrets
import select
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

import psycopg2

from fengling_gateway.configsource.postgres_listener import CHANNEL
from fengling_gateway.doctor.finding import Finding, ok, wrong
from fengling_gateway.schema.timed import TimedConnection, connect_timed
from fengling_gateway.schema.version import one_line

HEARD_SECONDS: Final = 5.0
"""It takes a millisecond."""

_STEP_SECONDS: Final = 10.0
_APPLICATION: Final = "fenglingctl doctor"


def listening(dsn: str, *, is_own: bool) -> Iterator[Finding]:
    """
    Yield whether a notification arrives over a URL.

    Args:
        is_own: whether it is for LISTEN alone, or that for all questions.
    """
    through = "database.listen_url" if is_own else "the database's URL"
    try:
        with closing(_connect(dsn)) as hearing, closing(_connect(dsn)) as sending:
            took = _heard_after(hearing, sending)
    except psycopg2.Error as error:
        yield wrong(
            "database.listen",
            f"LISTEN through {through} fails: {one_line(error)}",
            "give database.listen_url a direct connection to the primary",
        )
        return
    if took is None:
        yield wrong(
            "database.listen",
            f"LISTEN through {through} is accepted, and nothing is heard within {HEARD_SECONDS:g} s: "
            "a pooler in transaction mode is between; gateways poll",
            "give database.listen_url a direct connection, past the pooler",
        )
        return
    yield ok("database.listen", f"a notification through {through} is heard after {took:.1f} ms")


def _connect(dsn: str) -> TimedConnection:
    connection = connect_timed(dsn, _APPLICATION)
    connection.step_seconds = _STEP_SECONDS
    connection.autocommit = True
    return connection


def _heard_after(hearing: TimedConnection, sending: TimedConnection) -> float | None:
    """Return after how many milliseconds a notification was heard; None if it was not."""
    mark = secrets.token_hex(8)
    with hearing.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")
    began = time.monotonic()
    with sending.cursor() as cursor:
        cursor.execute("SELECT pg_catalog.pg_notify(%s, %s)", (CHANNEL, _payload(mark)))
    while not any(mark in one.payload for one in hearing.notifies):
        hearing.notifies.clear()
        left = began + HEARD_SECONDS - time.monotonic()
        if left <= 0 or not select.select([hearing], [], [], left)[0]:
            return None
        with hearing.step():
            hearing.poll()
    return (time.monotonic() - began) * 1000


def _payload(mark: str) -> str:
    """Return what every listener takes for a change of which it finds nothing."""
    return json.dumps(
        {
            "eventType": "gateway",
            "action": "update",
            "timestamp": datetime.now(UTC).isoformat(),
            "details": {"doctor": mark},
        }
    )
