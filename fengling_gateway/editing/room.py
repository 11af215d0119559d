"""
Room for rows whose unique values go round: two instances that swap addresses, for one.

PostgreSQL looks at each row by itself, so neither could go first. Hence those that move are put
out of each other's way before, within the transaction, so that the log tells of one change only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from psycopg2 import sql

from fengling_gateway.editing.changes import Planned


class _Unique(NamedTuple):
    """Columns that are unique together, the one that is moved, and what nobody else has in it."""

    columns: frozenset[str]
    moved: str
    aside: str


_UNIQUE: Final = {
    "instance": _Unique(
        frozenset(("service_id", "tenant_id", "address")),
        "address",
        "'http://' || t.id || '.moves.invalid'",
    ),
    "issuer": _Unique(frozenset(("issuer",)), "issuer", "'moves:' || t.id"),
}


def make_room(cursor: Any, changes: Sequence[Planned]) -> list[Planned]:
    """
    Move aside what may be in each other's way.

    Returns:
        The changes, with the versions that the rows have now. One whose row was not as it was
        read is left as it is, so that writing it finds that out.
    """
    moved: dict[int, Planned] = {}
    for kind, unique in _UNIQUE.items():
        some = [one for one in changes if one.key.kind == kind and _moves(one, unique)]
        if len(some) > 1:
            moved |= {id(one): now for one, now in _move(cursor, kind, unique, some)}
    return [moved.get(id(one), one) for one in changes]


def _moves(change: Planned, unique: _Unique) -> bool:
    return change.action == "update" and not unique.columns.isdisjoint(change.values)


def _move(
    cursor: Any, kind: str, unique: _Unique, changes: list[Planned]
) -> Iterator[tuple[Planned, Planned]]:
    cursor.execute(
        sql.SQL(
            "UPDATE fengling.{kind} AS t SET {column} = {aside} FROM fengling.{kind} AS old,"
            " jsonb_to_recordset(%s::jsonb) AS n (id text, version bigint)"
            " WHERE t.id = n.id AND t.version = n.version AND old.id = t.id"
            " RETURNING t.id, t.version, old.{column}"
        ).format(
            kind=sql.Identifier(kind),
            column=sql.Identifier(unique.moved),
            aside=sql.SQL(unique.aside),
        ),
        (json.dumps([{"id": one.key.id, "version": one.version} for one in changes]),),
    )
    rows = {entity_id: (version, value) for entity_id, version, value in cursor}
    for one in changes:
        if one.key.id in rows:
            version, value = rows[one.key.id]
            values = {unique.moved: value, **one.values}
            yield one, replace(one, version=version, values=values)
