"""What watches the database and the gateway: threads that put what they see into a queue."""

from __future__ import annotations

import json
import queue
import select
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg2
import psycopg2.extensions

from fengling_gateway.quickstart.narrative import ChangeRow, RevisionRow

CHANNEL: Final = "gateway_config_changed"
_RETRY_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.25
_MOST_CHANGES_READ: Final = 200

_REVISIONS: Final = """
SELECT id, kind, extract(epoch FROM committed_at)::float8 AS committed_at, author, application,
       coalesce(comment, '') AS comment, held AND NOT forced AS held, changes AS count
  FROM fengling.revision WHERE id > %s ORDER BY id LIMIT 50
"""
_CHANGES: Final = """
SELECT entity, entity_id, before, after FROM fengling.revision_change
 WHERE revision = %s ORDER BY ordinal LIMIT %s
"""


@dataclass(frozen=True)
class Committed:
    """A revision has been committed."""

    revision: RevisionRow


@dataclass(frozen=True)
class Seen:
    """The gateway's status was read; None when its management API did not answer."""

    status: dict[str, Any] | None


class Watcher(threading.Thread):
    """A thread that looks again and again until told to stop."""

    def __init__(self, name: str, seen: queue.Queue[Any]) -> None:
        super().__init__(daemon=True, name=name)
        self._seen = seen
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=5)


class DatabaseWatcher(Watcher):
    """
    Tells of every new revision, soon after its commit.

    Args:
        dsn: where to look; asked anew for every connection.
        after: the last revision that is known already.
    """

    def __init__(self, dsn: Callable[[], str], after: int, seen: queue.Queue[Any]) -> None:
        super().__init__("watch database", seen)
        self._dsn = dsn
        self._last = after

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except psycopg2.Error:
                self._stopping.wait(_RETRY_SECONDS)

    def _watch(self) -> None:
        connection = connect(self._dsn())
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
                while not self._stopping.is_set():
                    for revision in read_revisions(cursor, self._last):
                        self._last = revision.id
                        self._seen.put(Committed(revision))
                    select.select([connection], [], [], _LOOK_SECONDS)
                    connection.poll()
                    connection.notifies.clear()
        finally:
            connection.close()


def connect(dsn: str) -> Any:
    """Open an autocommit connection that gives up soon."""
    connection = psycopg2.connect(dsn, connect_timeout=2, application_name="quickstart")
    connection.set_session(autocommit=True)
    return connection


def read_revisions(cursor: Any, after: int) -> Iterator[RevisionRow]:
    """Yield the configuration's revisions after a number, each with its first changes."""
    cursor.execute(_REVISIONS, (after,))
    for row in cursor.fetchall():
        revision = RevisionRow(*row)
        cursor.execute(_CHANGES, (revision.id, _MOST_CHANGES_READ))
        changes = tuple(ChangeRow(*change) for change in cursor.fetchall())
        yield replace(revision, changes=changes)


class GatewayWatcher(Watcher):
    """Tells what the gateway's status says, a few times a second, and at once when poked."""

    def __init__(self, url: str, token: str, seen: queue.Queue[Any]) -> None:
        super().__init__("watch gateway", seen)
        self._url = url
        self._token = token
        self._poked = threading.Event()

    def poke(self) -> None:
        self._poked.set()

    def stop(self) -> None:
        self._stopping.set()
        self._poked.set()
        super().stop()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._seen.put(Seen(self._look()))
            self._poked.wait(_LOOK_SECONDS)
            self._poked.clear()

    def _look(self) -> dict[str, Any] | None:
        try:
            return read_status(self._url, self._token)
        except (OSError, ValueError):
            return None


def read_status(management_url: str, token: str) -> dict[str, Any]:
    """
    Read the status document of a gateway.

    Raises:
        OSError: it did not answer, or not with a status.
    """
    request = urllib.request.Request(
        f"{management_url}/api/gateway/status", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=2) as answer:
        status: dict[str, Any] = json.load(answer)
        return status
