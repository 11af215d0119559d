"""
What a prober does in the database: plain functions of a connection, which block.

Each is one round trip: a single statement, or several that the server takes for
one transaction because they arrive together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from psycopg2 import errors

from fengling_gateway.election import seat
from fengling_gateway.election.seat import ANSWER_SECONDS, Beat, Connection, TermOverError
from fengling_gateway.health.verdicts import FLAP_WINDOW_SECONDS, UNHEALTHY

LOCK: Final = 0x66656E676C70726F
"""Advisory lock of whoever probes: "fenglpro" in ASCII, so that it is easy to place."""

TABLE: Final = "prober"

READ_SECONDS: Final = 10.0
WRITE_SECONDS: Final = 10.0
"""Writers of the configuration wait for each other at COMMIT, for so long at most."""

MAX_REASON: Final = 1000

_REVISIONS_LOOKED_AT: Final = 10_000
"""Of the newest revisions, for who became unhealthy lately; there is no index by time."""


class Known(NamedTuple):
    """A row of ``instance_health``; `age` in seconds, ``term`` null of other writers."""

    instance_id: str
    health: str
    reason: str | None
    age: float
    term: int | None
    address: str | None


class Fall(NamedTuple):
    """That an instance became unhealthy, so many seconds ago."""

    instance_id: str
    age: float


@dataclass(frozen=True, slots=True)
class Term:
    """What whoever begins to probe finds: who it is now, and what is known."""

    number: int
    known: tuple[Known, ...]
    falls: tuple[Fall, ...]


class Verdict(NamedTuple):
    """What is to be written of an instance; `health` None: nothing is known any more, or said."""

    instance_id: str
    health: str | None
    reason: str
    age: float
    address: str


def take_over(connection: Connection, name: str) -> Term:
    """Begin a term; only for who has the lock."""
    number = seat.take_over(connection, TABLE, name)
    known = connection.execute(
        "SELECT instance_id, health, reason,"
        " greatest(0, extract(epoch FROM clock_timestamp() - since))::float8, term, address"
        " FROM fengling.instance_health",
        within=READ_SECONDS,
    )
    falls = connection.execute(
        "SELECT c.entity_id, extract(epoch FROM clock_timestamp() - r.committed_at)::float8"
        " FROM fengling.revision AS r JOIN fengling.revision_change AS c ON c.revision = r.id"
        " WHERE r.id > (SELECT revision FROM fengling.head) - %s"
        " AND r.committed_at > clock_timestamp() - %s * interval '1 s'"
        " AND c.entity = 'instance_health' AND c.after ->> 'health' = %s"
        " AND c.before ->> 'health' IS DISTINCT FROM c.after ->> 'health' ORDER BY r.id",
        (_REVISIONS_LOOKED_AT, FLAP_WINDOW_SECONDS, UNHEALTHY),
        within=READ_SECONDS,
    )
    return Term(number, tuple(Known(*row) for row in known), tuple(Fall(*row) for row in falls))


def beat(connection: Connection, term: int) -> Beat:
    """
    Say that whoever probes is alive.

    Raises:
        TermOverError: the term is over.
    """
    rows = connection.execute(
        "UPDATE fengling.prober SET heartbeat_at = clock_timestamp() WHERE term = %s"
        " RETURNING pg_backend_pid()",
        (term,),
        within=ANSWER_SECONDS,
    )
    if not rows:
        raise TermOverError(f"term {term} is over")
    return Beat(rows[0][0])


_WRITE: Final = """
SELECT set_config('fengling.author', %(author)s, true),
       set_config('fengling.comment', %(comment)s, true),
       set_config('lock_timeout', '5s', true), set_config('statement_timeout', '9s', true);
DELETE FROM fengling.instance_health AS h
WHERE h.instance_id = ANY (%(gone)s) AND h.term IS NOT NULL
  AND EXISTS (SELECT FROM fengling.prober AS p WHERE p.term = %(term)s);
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
        AS n(instance_id text, health text, reason text, age float8, address text)
), there AS (
    -- Instances that somebody deletes at this moment are waited for, and are none then.
    SELECT i.id FROM fengling.instance AS i
    WHERE i.id IN (SELECT n.instance_id FROM wanted AS n) ORDER BY i.id FOR KEY SHARE
)
INSERT INTO fengling.instance_health AS h
    (instance_id, health, reason, since, source, term, address)
SELECT n.instance_id, n.health, n.reason, clock_timestamp() - n.age * interval '1 s',
       %(author)s, %(term)s, n.address
FROM wanted AS n JOIN there ON there.id = n.instance_id
ORDER BY n.instance_id
ON CONFLICT (instance_id) DO UPDATE SET
    health = EXCLUDED.health, reason = EXCLUDED.reason, since = EXCLUDED.since,
    source = EXCLUDED.source, term = EXCLUDED.term, address = EXCLUDED.address
"""


def write(connection: Connection, term: int, author: str, verdicts: Sequence[Verdict]) -> None:
    """
    Write verdicts in one transaction: one revision. Those of instances that are gone are left out.

    Raises:
        TermOverError: somebody else probes.
    """
    rows = [
        {**one._asdict(), "reason": one.reason[:MAX_REASON]}
        for one in verdicts
        if one.health is not None
    ]
    arguments = {
        "author": author,
        "comment": _comment(verdicts),
        "term": term,
        "rows": json.dumps(rows),
        "gone": [one.instance_id for one in verdicts if one.health is None],
    }
    try:
        connection.execute(_WRITE, arguments, within=WRITE_SECONDS)
    except errors.ObjectNotInPrerequisiteState as error:
        raise TermOverError(error.diag.message_primary or f"term {term} is over") from error


def _comment(verdicts: Sequence[Verdict]) -> str:
    """Say in a line what happens: history is read by people."""
    if len(verdicts) == 1:
        [one] = verdicts
        return f"{one.instance_id} {one.health or 'not probed any more'}: {one.reason}"
    counts: dict[str, int] = {}
    for one in verdicts:
        what = one.health or "not probed any more"
        counts[what] = counts.get(what, 0) + 1
    return "instances: " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
