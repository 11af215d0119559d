"""
A plan written to the database: one transaction, which does exactly what the plan says.

A plan was made of what was read a moment ago. Each row is therefore written,
or deleted, only if it still has the version that was read, and what a written
one refers to must be there unchanged; else nothing is written at all. Whatever
else somebody commits in between is none of our business, which is why this is
READ COMMITTED: a transaction with a snapshot would fail at COMMIT after any
other revision, one of health included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

import psycopg2
from psycopg2 import errorcodes, sql

from fengling_gateway.configsource.postgres_rows import ID_COLUMN
from fengling_gateway.editing.changes import Planned
from fengling_gateway.editing.room import make_room
from fengling_gateway.editing.stored import DURATIONS, INSTANTS
from fengling_gateway.model.entity import KIND_INDEX, Key
from fengling_gateway.schema.timed import STATEMENT_SECONDS
from fengling_gateway.schema.version import one_line

LOCK_TIMEOUT: Final = "10s"
"""Counts also at COMMIT, where every writer waits for the one before it, and no other limit does."""

BATCH: Final = 1000

_REVISION: Final = re.compile(r"fengling: revision (\d+) \(")
_HELD: Final = re.compile(r"fengling: (revision (\d+) held: .*)")
_BUSY: Final = frozenset(
    (
        errorcodes.LOCK_NOT_AVAILABLE,
        errorcodes.DEADLOCK_DETECTED,
        errorcodes.SERIALIZATION_FAILURE,
    )
)


@dataclass(frozen=True, slots=True)
class Committed:
    """What a transaction became: its revision (None: it changed nothing), and why it is held."""

    revision: int | None
    held: str | None


@dataclass(frozen=True, slots=True)
class Signature:
    """
    Who commits, and why.

    ``force`` lets a revision pass that removes too much. ``is_verified``: whoever writes knows
    that it is the author (the database believes that of who is a fengling_voucher).
    ``application`` is what it is written with, where the connection's name does not tell.
    """

    author: str | None = None
    comment: str | None = None
    force: bool = False
    is_verified: bool = False
    application: str | None = None


class ConflictError(Exception):
    """Somebody has changed, made or deleted ``keys`` since they were read. Nothing is written."""

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(", ".join(map(str, keys)))
        self.keys = tuple(keys)


class BusyError(Exception):
    """Others hold what is to be written for too long. Nothing is written."""


class UncertainError(Exception):
    """The connection broke during COMMIT: whether all is written or nothing is not known."""


def write(
    connection: Any,
    changes: Sequence[Planned],
    signature: Signature,
    refers_to: Mapping[Key, int] | None = None,
    written: Callable[[], object] | None = None,
    also: Callable[[Any], object] | None = None,
    at_end: Callable[[Any], object] | None = None,
) -> Committed:
    """
    Make changes and commit them.

    Args:
        refers_to: what the changes depend on beside what they change, with its version.
        written: called before the commit, to look at what has been written. What it sets in the
            transaction is taken back.
        also: called with a cursor when the transaction has begun, before anything is written: to
            write what belongs to the changes, or refuse them all. What it does is kept.
        at_end: called with a cursor after all is written, right before the commit: the place for
            locks that COMMIT takes as well, which must come after those of rows.

    Raises:
        whatever `also` and `at_end` raise: nothing is written.
        ConflictError, BusyError: read again, and try again.
        UncertainError: look before you try again.
    """
    del connection.notices[:]
    try:
        with connection.cursor() as cursor:
            _begin(cursor, signature)
            if also is not None:
                also(cursor)
            _require(cursor, refers_to or {})
            for statement, batch in _statements(make_room(cursor, changes)):
                _run(cursor, statement, batch)
            if written is not None:
                cursor.execute("SAVEPOINT written")
                written()
                cursor.execute("ROLLBACK TO SAVEPOINT written")
            if at_end is not None:
                at_end(cursor)
        _commit(connection)
    except psycopg2.Error as error:
        if error.pgcode not in _BUSY:
            raise
        connection.rollback()
        raise BusyError(one_line(error)) from error
    except UncertainError:
        raise
    except Exception:  # a conflict, or what `also`, `written` or `at_end` say
        connection.rollback()
        raise
    return _committed(connection.notices)


def _begin(cursor: Any, signature: Signature) -> None:
    for name, value in (
        ("statement_timeout", f"{STATEMENT_SECONDS * 1000:.0f}"),
        ("lock_timeout", LOCK_TIMEOUT),
        # What the revision became is told by a notice.
        ("client_min_messages", "notice"),
        ("fengling.author", signature.author),
        ("fengling.comment", signature.comment),
        ("fengling.force", "on" if signature.force else None),
        ("application_name", signature.application),
        ("fengling.author_verified", "on" if signature.is_verified else None),
    ):
        if value is not None:
            cursor.execute("SELECT set_config(%s, %s, true)", (name, value))


def _require(cursor: Any, versions: Mapping[Key, int]) -> None:
    """Make sure that entities are as they were read; until the end nobody may delete them."""
    for kind, group in groupby(sorted(versions, key=_order), key=lambda key: key.kind):
        keys = list(group)
        cursor.execute(
            sql.SQL(
                "SELECT id, version FROM fengling.{} WHERE id = ANY (%s) ORDER BY id FOR KEY SHARE"
            ).format(sql.Identifier(kind)),
            ([key.id for key in keys],),
        )
        found = dict(cursor.fetchall())
        if changed := [key for key in keys if found.get(key.id) != versions[key]]:
            raise ConflictError(changed)


def _order(key: Key) -> tuple[int, str]:
    return KIND_INDEX[key.kind], key.id


def _statements(changes: Sequence[Planned]) -> Iterator[tuple[sql.Composed, list[Planned]]]:
    """Return what to run, with the changes that each statement makes."""
    # What goes makes room, and so does what moves: an instance's address can only be taken once.
    for action in ("delete", "update", "create"):
        some = [change for change in changes if change.action == action]
        if action == "delete":
            some.reverse()
        # A column that is not named keeps its value, so those with the same columns go together.
        # (Updates name what changes, each its own.)
        if action == "update":
            some.sort(key=lambda one: (KIND_INDEX[one.key.kind], sorted(one.values)))
        for (kind, columns), group in groupby(
            some, key=lambda one: (one.key.kind, sorted(one.values))
        ):
            batch = list(group)
            statement = _STATEMENTS[action](kind, columns)
            for start in range(0, len(batch), BATCH):
                yield statement, batch[start : start + BATCH]


def _run(cursor: Any, statement: sql.Composed, batch: list[Planned]) -> None:
    cursor.execute(statement, (json.dumps([_row(change) for change in batch]),))
    written = {entity_id for (entity_id,) in cursor}
    if missed := [change.key for change in batch if change.key.id not in written]:
        raise ConflictError(missed)


def _delete(kind: str, _: list[str]) -> sql.Composed:
    return _of(
        kind,
        "DELETE FROM fengling.{kind} AS t USING {rows} AS n"
        " WHERE t.{id} = n.{id} AND t.version = n.version RETURNING t.{id}",
    )


def _update(kind: str, columns: list[str]) -> sql.Composed:
    return _of(
        kind,
        "UPDATE fengling.{kind} AS t SET {updates} FROM {rows} AS n"
        " WHERE t.{id} = n.{id} AND t.version = n.version RETURNING t.{id}",
        updates=sql.SQL(", ").join(
            sql.SQL("{0} = n.{0}").format(sql.Identifier(name))
            for name in columns
            if name != ID_COLUMN.get(kind, "id")
        ),
    )


def _create(kind: str, columns: list[str]) -> sql.Composed:
    return _of(
        kind,
        "INSERT INTO fengling.{kind} ({names}) SELECT {names} FROM {rows} AS n"
        " ON CONFLICT ({id}) DO NOTHING RETURNING {id}",
        names=sql.SQL(", ").join(map(sql.Identifier, columns)),
    )


_STATEMENTS: Final = {"delete": _delete, "update": _update, "create": _create}


def _of(kind: str, statement: str, **parts: sql.Composable) -> sql.Composed:
    table = sql.Identifier(kind)
    return sql.SQL(statement).format(
        kind=table,
        id=sql.Identifier(ID_COLUMN.get(kind, "id")),
        rows=sql.SQL("jsonb_populate_recordset(NULL::fengling.{}, %s::jsonb)").format(table),
        **parts,
    )


def _row(change: Planned) -> dict[str, Any]:
    """
    Return values as PostgreSQL reads them, with the version they replace.

    Intervals and points in time may be text, which is as PostgreSQL itself has written it.
    """
    row = {
        ID_COLUMN.get(change.key.kind, "id"): change.key.id,
        **change.values,
        "version": change.version,
    }
    for name in DURATIONS & row.keys():
        if isinstance(row[name], int | float):
            row[name] = f"{row[name]:.6f} seconds"  # never 6e-05, which no interval is
    for name in INSTANTS & row.keys():
        if isinstance(row[name], int | float):
            row[name] = datetime.fromtimestamp(row[name], UTC).isoformat()
    return row


def _commit(connection: Any) -> None:
    try:
        connection.commit()
    except psycopg2.Error as error:
        if connection.closed:
            raise UncertainError(one_line(error)) from error
        raise


def _committed(notices: Iterable[str]) -> Committed:
    revision: int | None = None
    held: str | None = None
    for notice in notices:
        if match := _HELD.search(notice):
            revision, held = int(match[2]), match[1]
        elif match := _REVISION.search(notice):
            revision = int(match[1])
    return Committed(revision, held)
