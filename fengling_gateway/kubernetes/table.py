"""
What is kept in the database of a cluster: plain functions of a connection, which block.

Decisions about services, and what the cluster last said of entities that it owns; schemas 0005 and 0006.
What whoever watches writes is fenced by its term (`require_term`): nobody takes over until that is
committed, and after that it is refused. Here a connection is psycopg2's, not in autocommit, with nothing under way;
`take_over` and `beat` are for the `Guarded` one of the election.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from psycopg2 import errors

from fengling_gateway.election import seat
from fengling_gateway.election.seat import ANSWER_SECONDS, Beat, Connection, TermOverError
from fengling_gateway.model.entity import Key

LOCK: Final = 0x66656E676C6B7562
"""Advisory lock of whoever watches: "fenglkub" in ASCII, so that it is easy to place."""

TABLE: Final = "discovery"

READ_SECONDS: Final = 10.0

_IDLE_IN_TRANSACTION: Final = "5s"
"""A holder of the seat that is stopped while it writes must not keep others from taking over."""

_DECISIONS: Final = """
SELECT namespace, name, state, asked, approved, decision, offer -> 'annotations', decided_by
FROM fengling.discovered_service
WHERE decision > %s ORDER BY decision, namespace, name
"""
_NEWS: Final = """
SELECT x.confirmed, x.confirmed_by, x.confirmation,
       d.namespace, d.name, d.state, d.asked, d.approved, d.decision, d.offer -> 'annotations',
       d.decided_by
FROM fengling.discovery AS x LEFT JOIN fengling.discovered_service AS d ON d.decision > %s
ORDER BY d.decision, d.namespace, d.name
"""
"""(One statement, as of one moment: numbers follow the order of commits, and one in between is not missed.)"""
_TAKEN_BACK: Final = """
DELETE FROM fengling.discovered_service WHERE state = 'pending' AND gone_at IS NOT NULL
"""
"""Kept until whoever watches has learnt that there is no decision any more."""

_LIMITS: Final = """
SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '9s', true),
       set_config('fengling.by_rule', 'on', true)
"""
_SEEN: Final = """
INSERT INTO fengling.discovered_service AS d (namespace, name, state, decided_by, offer, seen_at)
SELECT n.namespace, n.name, n.state, n.decided_by, n.offer, clock_timestamp()
FROM jsonb_to_recordset(%s::jsonb)
    AS n(namespace text, name text, state text, decided_by text, offer jsonb)
ORDER BY n.namespace, n.name
ON CONFLICT (namespace, name) DO UPDATE SET offer = EXCLUDED.offer, gone_at = NULL,
    seen_at = CASE WHEN d.gone_at IS NULL THEN coalesce(d.seen_at, EXCLUDED.seen_at)
                   ELSE EXCLUDED.seen_at END
"""
_BY_RULE: Final = """
UPDATE fengling.discovered_service AS d SET state = n.state, decided_by = n.decided_by
FROM jsonb_to_recordset(%s::jsonb) AS n(namespace text, name text, state text, decided_by text)
WHERE d.namespace = n.namespace AND d.name = n.name
  AND d.state = 'pending' AND d.decided_by IS NULL AND n.state <> 'pending'
"""
_RULE_IS_GONE: Final = """
UPDATE fengling.discovered_service AS d SET approved = n.approved
FROM jsonb_to_recordset(%s::jsonb) AS n(namespace text, name text, approved jsonb)
WHERE d.namespace = n.namespace AND d.name = n.name AND n.approved <> 'null'
  AND d.state = 'approved' AND d.approved IS NULL
"""
_GONE: Final = """
WITH gone AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS n(namespace text, name text)
), forgotten AS (
    DELETE FROM fengling.discovered_service AS d USING gone AS n
    WHERE d.namespace = n.namespace AND d.name = n.name AND d.state = 'pending'
)
UPDATE fengling.discovered_service AS d SET gone_at = clock_timestamp() FROM gone AS n
WHERE d.namespace = n.namespace AND d.name = n.name AND d.state <> 'pending' AND d.gone_at IS NULL
"""
_RESULTS: Final = """
UPDATE fengling.discovered_service AS d SET result = n.result
FROM jsonb_to_recordset(%s::jsonb) AS n(namespace text, name text, result jsonb)
WHERE d.namespace = n.namespace AND d.name = n.name
"""
_SAID: Final = """
INSERT INTO fengling.discovered_entity (kind, id, origin, said)
SELECT n.kind, n.id, n.origin, n.said
FROM jsonb_to_recordset(%s::jsonb) AS n(kind text, id text, origin text, said jsonb)
ORDER BY n.kind, n.id
ON CONFLICT (kind, id) DO UPDATE SET origin = EXCLUDED.origin, said = EXCLUDED.said
"""
_SAID_OF: Final = """
SELECT d.kind, d.id, d.origin, d.said FROM fengling.discovered_entity AS d
JOIN jsonb_to_recordset(%s::jsonb) AS n(kind text, id text) USING (kind, id)
"""
_UNSAID: Final = """
SELECT o.kind, o.id FROM (
    SELECT 'service' AS kind, s.id FROM fengling.service AS s WHERE s.managed_by = 'kubernetes'
    UNION ALL
    SELECT 'route', r.id FROM fengling.route AS r WHERE r.managed_by = 'kubernetes'
    UNION ALL
    SELECT 'instance', i.id FROM fengling.instance AS i WHERE i.managed_by = 'kubernetes'
) AS o
WHERE NOT EXISTS (
    SELECT FROM fengling.discovered_entity AS d WHERE d.kind = o.kind AND d.id = o.id
)
"""
_SAID_NO_MORE: Final = """
DELETE FROM fengling.discovered_entity AS d USING jsonb_to_recordset(%s::jsonb) AS n(kind text, id text)
WHERE d.kind = n.kind AND d.id = n.id
"""


class Decision(NamedTuple):
    """
    What has been decided of a service of the cluster.

    Attributes:
        state: pending, approved or rejected; pending if nobody has decided, or has taken it back.
        asked: ``hosts``, ``path`` and ``tenant_id``, as far as whoever approved has set them.
        approved: the annotations that somebody has approved; None: whatever they are.
        number: grows with each decision of any service; 0: nobody has ever decided.
        offered: the annotations that were told of it last; None: nothing was.
        by: who has decided, or which rule; None: nobody.
    """

    namespace: str
    name: str
    state: str
    asked: dict[str, Any]
    approved: dict[str, str] | None
    number: int
    offered: dict[str, str] | None = None
    by: str | None = None

    @property
    def is_rule_s(self) -> bool:
        """Whether a rule has decided."""
        return self.by is not None and self.by.startswith("rule ")


class Confirmed(NamedTuple):
    """Which removal somebody has confirmed, by the id that he was shown, and who."""

    removal: str
    by: str


class News(NamedTuple):
    """
    What has been decided since somebody looked.

    Attributes:
        decisions: each service's newest, in order.
        confirmed: the last confirmation; None: there is none since then.
        number: of the newest of it all; as it was, where there is none.
    """

    decisions: tuple[Decision, ...]
    confirmed: Confirmed | None
    number: int


class Said(NamedTuple):
    """What the cluster said of an entity: which object of it (``shop/orders``), and which fields."""

    origin: str
    fields: dict[str, Any]


class Seen(NamedTuple):
    """
    A service that is there.

    Attributes:
        state: pending, or approved where a rule says so, which is named in ``decided_by``. It counts
            only if nobody has decided of the service yet.
        approved: annotations that count as approved from here on, where a rule had approved whatever
            they are, and there is no such rule any more.
    """

    namespace: str
    name: str
    offer: dict[str, Any]
    state: str = "pending"
    decided_by: str | None = None
    approved: dict[str, str] | None = None


class Told(NamedTuple):
    """What came of a decision."""

    namespace: str
    name: str
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DiscoveryTerm:
    """
    What whoever begins to watch finds.

    Attributes:
        decisions: of every service that the table has, undecided ones included.
        said: of every entity that the cluster owned.
        news: the number of what was decided last: decisions after it are yet to be heard of.
        unsaid: entities that say that they follow the cluster, of which it has said nothing: as
            where somebody has gone back to an older revision while nobody watched.
        lost: how many routes had gone unasked shortly before the end of the last term.
    """

    number: int
    decisions: tuple[Decision, ...]
    said: dict[Key, Said]
    unsaid: tuple[Key, ...] = ()
    news: int = 0
    lost: int = 0


# For whoever is elected


def take_over(connection: Connection, name: str) -> DiscoveryTerm:
    """Begin a term; only for who has the lock. Waits for what is being written in the term before."""
    number = seat.take_over(connection, TABLE, name)
    # (First: what is decided while the rest is read has a later number, and is heard of.)
    [(confirmation, writing)] = connection.execute(
        "SELECT confirmation, status -> 'writing' FROM fengling.discovery", within=READ_SECONDS
    )
    rows = connection.execute(f"{_TAKEN_BACK}; {_DECISIONS}", (-1,), within=READ_SECONDS)
    said = connection.execute(
        "SELECT kind, id, origin, said FROM fengling.discovered_entity", within=READ_SECONDS
    )
    unsaid = connection.execute(_UNSAID, within=READ_SECONDS)
    decisions = tuple(Decision(*row) for row in rows)
    return DiscoveryTerm(
        number,
        decisions,
        {Key(kind, entity_id): Said(origin, fields) for kind, entity_id, origin, fields in said},
        tuple(Key(*row) for row in unsaid),
        max((confirmation, *(one.number for one in decisions))),
        _lately(writing),
    )


def _lately(writing: Any) -> int:
    """Return how many routes had gone shortly before the end of a term, as it has told."""
    found = writing.get("lately") if isinstance(writing, dict) else None
    return found if isinstance(found, int) else 0


def beat(connection: Connection, term: int, status: str | None = None) -> Beat:
    """
    Say that whoever watches is alive, and how it gets on; the note is the number of what was decided last.

    Args:
        status: JSON; None leaves what it said last.

    Raises:
        TermOverError: the term is over.
    """
    rows = connection.execute(
        "UPDATE fengling.discovery SET heartbeat_at = clock_timestamp(),"
        " status = coalesce(%s::jsonb, status) WHERE term = %s"
        " RETURNING pg_backend_pid(),"
        " greatest(confirmation,"
        " (SELECT max(d.decision) FROM fengling.discovered_service AS d))",
        (status, term),
        within=ANSWER_SECONDS,
    )
    if not rows:
        raise TermOverError(f"term {term} is over")
    return Beat(*rows[0])


def require_term(cursor: Any, term: int) -> None:
    """
    Let nobody take over until this transaction ends: what `editing.transaction.write` does `also`.

    Raises:
        TermOverError: somebody has.
    """
    cursor.execute(
        "SELECT set_config('idle_in_transaction_session_timeout', %s, true)",
        (_IDLE_IN_TRANSACTION,),
    )
    try:
        cursor.execute("SELECT fengling.require_discovery(%s)", (term,))
    except errors.ObjectNotInPrerequisiteState as error:
        raise TermOverError(error.diag.message_primary or f"term {term} is over") from error


def read_news(connection: Any, after: int) -> News:
    """Return what has been decided since something was."""
    with _transaction(connection), connection.cursor() as cursor:
        cursor.execute(_NEWS, (after,))
        found = cursor.fetchall()
    removal, by, confirmation = found[0][:3]
    decisions = tuple(Decision(*row[3:]) for row in found if row[3] is not None)
    is_new = removal is not None and confirmation > after
    number = max((confirmation, after, *(one.number for one in decisions)))
    return News(decisions, Confirmed(removal, by or "") if is_new else None, number)


def tell(
    connection: Any,
    term: int,
    seen: Sequence[Seen] = (),
    gone: Sequence[tuple[str, str]] = (),
    results: Sequence[Told] = (),
) -> None:
    """
    Write what there is, what is gone, and what came of decisions, in one transaction.

    Of what is gone, undecided rows go, too: also those whose decision somebody has taken back.

    Raises:
        TermOverError: somebody else watches; nothing is written.
    """
    with _transaction(connection), connection.cursor() as cursor:
        cursor.execute(_LIMITS)
        require_term(cursor, term)
        if seen:  # first: it takes the turn of those who decide, before it has any row
            rows = json.dumps([one._asdict() for one in seen])
            cursor.execute(_SEEN, (rows,))
            cursor.execute(_BY_RULE, (rows,))
            if any(one.approved is not None for one in seen):
                cursor.execute(_RULE_IS_GONE, (rows,))
        if gone:
            rows = json.dumps([{"namespace": space, "name": name} for space, name in gone])
            cursor.execute(_GONE, (rows,))
        if results:
            cursor.execute(_RESULTS, (json.dumps([one._asdict() for one in results]),))


def read_said(connection: Any, keys: Iterable[Key]) -> dict[Key, Said]:
    """Return what the cluster has said of some entities, in the current transaction."""
    asked = json.dumps([key._asdict() for key in keys])
    with connection.cursor() as cursor:
        cursor.execute(_SAID_OF, (asked,))
        return {Key(kind, name): Said(origin, fields) for kind, name, origin, fields in cursor}


def write_said(cursor: Any, said: Mapping[Key, Said | None]) -> None:
    """Keep what the cluster says of entities from here on; None: it owns one no longer."""
    gone = [{"kind": key.kind, "id": key.id} for key, one in said.items() if one is None]
    kept = [
        {"kind": key.kind, "id": key.id, "origin": one.origin, "said": one.fields}
        for key, one in said.items()
        if one is not None
    ]
    if gone:
        cursor.execute(_SAID_NO_MORE, (json.dumps(gone),))
    if kept:
        cursor.execute(_SAID, (json.dumps(kept),))


@contextmanager
def _transaction(connection: Any) -> Iterator[None]:
    """Commit what the block does; nothing of it if it fails."""
    try:
        yield
        connection.commit()
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
