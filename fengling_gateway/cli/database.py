"""The configuration in the database: read as rows, written in one transaction."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

import psycopg2
from psycopg2 import errorcodes, sql

from fengling_gateway.cli.changes import Planned
from fengling_gateway.cli.errors import CommandError
from fengling_gateway.cli.stored import DURATIONS, INSTANTS
from fengling_gateway.configsource.postgres_rows import ID_COLUMN, values_of
from fengling_gateway.model.entity import KINDS, Key
from fengling_gateway.schema import SchemaError, check
from fengling_gateway.schema.dsn import connect
from fengling_gateway.schema.version import one_line

CONNECT_SECONDS: Final = 10
STATEMENT_TIMEOUT: Final = "60s"
BATCH: Final = 1000
_HISTORY: Final = 20

_REVISION: Final = re.compile(r"fengling: revision (\d+) \(")
_HELD: Final = re.compile(r"fengling: (revision (\d+) held: .*)")


@contextmanager
def connected(dsn: str) -> Iterator[Any]:
    """
    Lend a connection to a database whose schema fits.

    Raises:
        CommandError: also for what the database refuses within the block.
    """
    try:
        connection = connect(
            dsn, connect_timeout=CONNECT_SECONDS, fallback_application_name="fenglingctl"
        )
    except psycopg2.Error as error:
        raise CommandError(f"the database can't be reached: {one_line(error)}") from error
    try:
        check(connection)
        connection.rollback()
        yield connection
    except SchemaError as error:
        raise CommandError(str(error)) from error
    except psycopg2.Error as error:
        raise CommandError(f"the database refuses: {one_line(error)}") from error
    finally:
        connection.close()


@contextmanager
def snapshot(connection: Any) -> Iterator[None]:
    """Let everything that is read within the block be of one moment: it takes several queries."""
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    yield
    connection.rollback()
    connection.set_session(isolation_level="READ COMMITTED", readonly=False)


def read_rows(connection: Any, kinds: Iterable[str] = KINDS) -> dict[Key, dict[str, Any]]:
    """Return every row of some kinds, in the current transaction."""
    rows: dict[Key, dict[str, Any]] = {}
    with connection.cursor() as cursor:
        _prepare(cursor)
        for kind in kinds:
            query = sql.SQL("SELECT t.{}, row_to_json(t)::text FROM fengling.{} AS t").format(
                sql.Identifier(ID_COLUMN.get(kind, "id")), sql.Identifier(kind)
            )
            cursor.execute(query)
            for entity_id, text in cursor:
                key = Key(kind, entity_id)
                rows[key] = values_of(key, text)
    return rows


def read_history(connection: Any, keys: list[Key]) -> dict[Key, list[dict[str, Any]]]:
    """Return older versions of entities, newest first."""
    found: dict[Key, list[dict[str, Any]]] = {}
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute(
                "SELECT after::text FROM fengling.revision_change"
                " WHERE entity = %s AND entity_id = %s AND after IS NOT NULL"
                " ORDER BY revision DESC LIMIT %s",
                (key.kind, key.id, _HISTORY),
            )
            found[key] = [values_of(key, text) for (text,) in cursor]
    return found


@dataclass(frozen=True, slots=True)
class Committed:
    """What a transaction became: its revision (None: it changed nothing), and why it is held."""

    revision: int | None
    held: str | None


@dataclass(frozen=True, slots=True)
class Signature:
    """Who commits, and why; ``force`` lets a revision pass that removes too much."""

    author: str | None = None
    comment: str | None = None
    force: bool = False


def write(connection: Any, changes: list[Planned], signature: Signature) -> Committed:
    """
    Make changes and commit them.

    Raises:
        ConflictError: somebody else has changed the same in the meantime.
    """
    del connection.notices[:]
    try:
        with connection.cursor() as cursor:
            _sign(cursor, signature)
            # What goes makes room: an instance may come back under another id.
            for change in reversed(changes):
                if change.action == "delete":
                    _delete(cursor, change.key)
            upserts = [change for change in changes if change.action != "delete"]
            for kind, group in groupby(upserts, key=lambda change: change.key.kind):
                _upsert(cursor, kind, list(group))
        connection.commit()
    except psycopg2.Error as error:
        if error.pgcode in {errorcodes.SERIALIZATION_FAILURE, errorcodes.DEADLOCK_DETECTED}:
            raise ConflictError from error
        raise
    return _committed(connection.notices)


class ConflictError(Exception):
    """The same was changed by somebody else at the same time: read again, and try again."""


def _prepare(cursor: Any) -> None:
    cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
    cursor.execute("SET LOCAL intervalstyle = 'iso_8601'")
    cursor.execute("SET LOCAL timezone = 'UTC'")


def _sign(cursor: Any, signature: Signature) -> None:
    for name, value in (
        ("fengling.author", signature.author),
        ("fengling.comment", signature.comment),
        ("fengling.force", "on" if signature.force else None),
    ):
        if value is not None:
            cursor.execute("SELECT set_config(%s, %s, true)", (name, value))


def _delete(cursor: Any, key: Key) -> None:
    cursor.execute(
        sql.SQL("DELETE FROM fengling.{} WHERE {} = %s").format(
            sql.Identifier(key.kind), sql.Identifier(ID_COLUMN.get(key.kind, "id"))
        ),
        (key.id,),
    )


def _upsert(cursor: Any, kind: str, changes: list[Planned]) -> None:
    # Those with the same columns go together: a column that is not named keeps its value.
    for columns, group in groupby(
        sorted(changes, key=lambda change: sorted(change.values)),
        key=lambda change: sorted(change.values),
    ):
        rows = [_row(change.values) for change in group]
        statement = _upsert_statement(kind, columns)
        for start in range(0, len(rows), BATCH):
            cursor.execute(statement, (json.dumps(rows[start : start + BATCH]),))


def _upsert_statement(kind: str, columns: list[str]) -> sql.Composed:
    id_column = ID_COLUMN.get(kind, "id")
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    updates = sql.SQL(", ").join(
        sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name))
        for name in columns
        if name != id_column
    )
    return sql.SQL(
        "INSERT INTO fengling.{kind} ({names})"
        " SELECT {names} FROM jsonb_populate_recordset(NULL::fengling.{kind}, %s::jsonb)"
        " ON CONFLICT ({id}) DO UPDATE SET {updates}"
    ).format(kind=sql.Identifier(kind), names=names, id=sql.Identifier(id_column), updates=updates)


def _row(values: dict[str, Any]) -> dict[str, Any]:
    """Return canonical values as PostgreSQL reads them."""
    row = dict(values)
    for name in DURATIONS & row.keys():
        row[name] = f"{row[name]} seconds"
    for name in INSTANTS & row.keys():
        if row[name] is not None:
            row[name] = datetime.fromtimestamp(row[name], UTC).isoformat()
    return row


def _committed(notices: Iterable[str]) -> Committed:
    revision: int | None = None
    held: str | None = None
    for notice in notices:
        if match := _HELD.search(notice):
            revision, held = int(match[2]), match[1]
        elif match := _REVISION.search(notice):
            revision = int(match[1])
    return Committed(revision, held)
