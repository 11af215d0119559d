"""Pages of a kind of entity, as they are stored."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from psycopg2 import sql

from fengling_gateway.configsource.postgres_rows import ID_COLUMN
from fengling_gateway.console.call import Call
from fengling_gateway.editing.rows import parsed, prepare, select

PARAMETERS: Final = ("q", "after", "limit")


class Page(NamedTuple):
    """``next`` is the id to continue after; None on the last page."""

    rows: list[tuple[str, dict[str, Any]]]
    next: str | None
    total: int


class Wanted(NamedTuple):
    """Which page of what."""

    kind: str
    q: str
    after: str
    limit: int


def wanted_by(kind: str, call: Call) -> Wanted:
    call.only(*PARAMETERS)
    return Wanted(kind, call.text("q"), call.id("after"), call.limit())


def read_page(connection: Any, wanted: Wanted) -> Page:
    column = sql.Identifier(ID_COLUMN.get(wanted.kind, "id"))
    where = sql.SQL(" WHERE t.{0} > %(after)s AND strpos(t.{0}, %(q)s) > 0").format(column)
    order = sql.SQL(" ORDER BY t.{} LIMIT %(most)s").format(column)
    values = {"after": wanted.after, "q": wanted.q, "most": wanted.limit + 1}
    with connection.cursor() as cursor:
        prepare(cursor)
        cursor.execute(select(wanted.kind) + where + order, values)
        rows = [(key.id, row) for key, row in parsed(wanted.kind, cursor)]
        cursor.execute(
            sql.SQL("SELECT count(*) FROM fengling.{}").format(sql.Identifier(wanted.kind))
        )
        [(total,)] = cursor.fetchall()
    following = rows[wanted.limit - 1][0] if len(rows) > wanted.limit else None
    return Page(rows[: wanted.limit], following, total)
