"""
Links that were used and sessions that were ended: in the database, for all consoles.

Functions of a psycopg2 connection, each a transaction of its own. Times in the
table are the database's, but for ``expires_at``: when the credential would be over.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

LINK: Final = "link/"
SESSION: Final = "session/"
"""What ids begin with: only sessions are asked for all the time."""

MAX_KEPT: Final = 50_000
"""Sessions that were ended before their time: a few MB, and more than people end in a day."""

OVERLAP_SECONDS: Final = 60
"""What is read again each time: a row is seen at its COMMIT, some time after its ``spent_at``."""

PRUNE_AFTER_SECONDS: Final = 3600
PRUNE_ROWS: Final = 5000

_INSERT: Final = (
    "INSERT INTO fengling.spent_credential (id, expires_at) VALUES (%s, to_timestamp(%s)) "
    "ON CONFLICT (id) DO NOTHING"
)

_NEWER: Final = (
    "SELECT id, extract(epoch FROM expires_at)::float8, extract(epoch FROM spent_at)::float8 "
    "FROM fengling.spent_credential "
    "WHERE spent_at > to_timestamp(%(after)s) AND id LIKE %(kind)s AND expires_at > now() "
    "ORDER BY expires_at DESC LIMIT %(limit)s"
)

_PRUNE: Final = (
    "DELETE FROM fengling.spent_credential WHERE id IN ("
    "SELECT id FROM fengling.spent_credential WHERE expires_at < now() - make_interval(secs => %s) "
    "ORDER BY expires_at LIMIT %s)"
)


class Newer(NamedTuple):
    """Ids of sessions with the ends they would have had, and the newest ``spent_at`` of all."""

    sessions: dict[str, float]
    latest: float


def spend(connection: Any, credential: str, expires_at: float) -> bool:
    """
    Note that a credential is over; whether nobody had noted that before.

    Of two who do it at the same time, the second waits for the first, and is told no.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute(_INSERT, (credential, expires_at))
        return int(cursor.rowcount) == 1


def read_newer(connection: Any, after: float) -> Newer:
    """Return the sessions that were ended after a ``spent_at``, or shortly before it."""
    asked = {
        "after": max(0.0, after - OVERLAP_SECONDS),
        "kind": f"{SESSION}%",
        "limit": MAX_KEPT + 1,
    }
    with connection, connection.cursor() as cursor:
        cursor.execute(_NEWER, asked)
        rows = cursor.fetchall()
    found = {name.removeprefix(SESSION): expires_at for name, expires_at, _ in rows}
    return Newer(found, max((at for _, _, at in rows), default=after))


def prune(connection: Any) -> int:
    """Delete some of what has long been over anyway; returns how many."""
    with connection, connection.cursor() as cursor:
        cursor.execute(_PRUNE, (PRUNE_AFTER_SECONDS, PRUNE_ROWS))
        return int(cursor.rowcount)


class EndedSessions:
    """
    The sessions that are known to have been ended before their time.

    Bounded: what does not fit is forgotten, those that would end first before others, and every
    session that ends no later than one that is forgotten is over.

    Attributes:
        is_known: whether those that were ended before have been read. Until then nobody
            can tell of any session that it is good.
    """

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._ends: dict[str, float] = {}
        self._max_kept = max_kept
        self._all_until = 0.0
        self.is_known = False

    def __len__(self) -> int:
        return len(self._ends)

    def __repr__(self) -> str:
        return f"<EndedSessions {len(self._ends)}>"

    def is_over(self, session_id: str, expires_at: float) -> bool:
        return expires_at <= self._all_until or session_id in self._ends

    def add(self, sessions: dict[str, float], *, now: float) -> None:
        """Know more of them, each with the end it would have had; and none that is over by now."""
        if sessions.keys() <= self._ends.keys():
            return
        everything = {**self._ends, **sessions}
        kept = {name: end for name, end in everything.items() if end > now}
        excess = len(kept) - self._max_kept
        if excess > 0:
            for name, end in sorted(kept.items(), key=lambda one: one[1])[:excess]:
                del kept[name]
                self._all_until = max(self._all_until, end)
        self._ends = kept
