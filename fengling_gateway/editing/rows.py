"""The configuration in a database, read as rows over a connection of the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from psycopg2 import sql

from fengling_gateway.configsource import postgres_queries as queries
from fengling_gateway.configsource.postgres_rows import ID_COLUMN, values_of
from fengling_gateway.model.entity import KINDS, KINDS_WITHOUT_PAST, Key
from fengling_gateway.schema.timed import STATEMENT_SECONDS

_NEWEST: Final = 2**63 - 1


@contextmanager
def snapshot(connection: Any) -> Iterator[None]:
    """Let everything that is read within the block be of one moment: it takes several queries."""
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    yield
    connection.rollback()
    connection.set_session(isolation_level="READ COMMITTED", readonly=False)


def read_rows(connection: Any, kinds: Iterable[str]) -> dict[Key, dict[str, Any]]:
    """Return every row of some kinds, in the current transaction."""
    rows: dict[Key, dict[str, Any]] = {}
    with connection.cursor() as cursor:
        prepare(cursor)
        for kind in kinds:
            cursor.execute(select(kind))
            rows.update(parsed(kind, cursor))
    return rows


def read_some(connection: Any, keys: Iterable[Key]) -> dict[Key, dict[str, Any]]:
    """Return those of some entities that there are, in the current transaction."""
    by_kind: dict[str, list[str]] = {}
    for key in keys:
        by_kind.setdefault(key.kind, []).append(key.id)
    rows: dict[Key, dict[str, Any]] = {}
    with connection.cursor() as cursor:
        prepare(cursor)
        for kind, ids in by_kind.items():
            some = sql.SQL(" WHERE t.{} = ANY (%s)").format(
                sql.Identifier(ID_COLUMN.get(kind, "id"))
            )
            cursor.execute(select(kind) + some, (ids,))
            rows.update(parsed(kind, cursor))
    return rows


def read_managed(connection: Any, managed_by: str) -> dict[Key, dict[str, Any]]:
    """Return everything that somebody manages, in the current transaction."""
    rows: dict[Key, dict[str, Any]] = {}
    with connection.cursor() as cursor:
        prepare(cursor)
        for kind in KINDS:
            if kind != "instance_health":
                cursor.execute(select(kind) + sql.SQL(" WHERE t.managed_by = %s"), (managed_by,))
                rows.update(parsed(kind, cursor))
    return rows


def select(kind: str) -> sql.Composed:
    """Return what selects entities of a kind ``t`` in the form that `parsed` reads."""
    return sql.SQL("SELECT t.{}, {}, row_to_json(t)::text FROM fengling.{} AS t").format(
        sql.Identifier(ID_COLUMN.get(kind, "id")),
        sql.SQL("NULL" if kind == "instance_health" else "t.version"),
        sql.Identifier(kind),
    )


def parsed(kind: str, cursor: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Yield what `select` has selected."""
    for entity_id, version, text in cursor:
        key = Key(kind, entity_id)
        row = values_of(key, text)
        if version is not None:  # also of a row that can't be read
            row["version"] = version
        yield key, row


def deleted_once(connection: Any, keys: Iterable[Key]) -> frozenset[Key]:
    """Return those clients and API keys that somebody has deleted, as far back as the log goes."""
    asked = [key for key in keys if key.kind in KINDS_WITHOUT_PAST]
    if not asked:
        return frozenset()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT c.entity, c.entity_id FROM fengling.revision_change AS c"
            " JOIN unnest(%s::text[], %s::text[]) AS w (entity, entity_id)"
            " USING (entity, entity_id) WHERE c.action = 'delete'",
            ([key.kind for key in asked], [key.id for key in asked]),
        )
        return frozenset(Key(*row) for row in cursor)


def read_history(connection: Any, keys: list[Key]) -> dict[Key, list[dict[str, Any]]]:
    """Look up older versions of entities, newest first, as far back as a gateway does."""
    return queries.read_history(cast("Any", _Asked(connection)), keys, _NEWEST, 0.0)


class _Asked:
    """A connection as the gateway's queries use it; its statements have a timeout already."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(
        self, statement: str, arguments: dict[str, Any], *, within: float
    ) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return list(cursor)


def prepare(cursor: Any) -> None:
    """Have a transaction read durations and times in the form that `parsed` knows."""
    cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_SECONDS * 1000:.0f}")
    cursor.execute("SET LOCAL intervalstyle = 'iso_8601'")
    cursor.execute("SET LOCAL timezone = 'UTC'")
