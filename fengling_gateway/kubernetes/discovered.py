"""
Services of the cluster that ask to be routed to, for whoever decides: functions of a connection, which block.

A row is a document, as the console's API shows it (docs/console.md). A row whose decision was taken back
when its service was gone is there for whoever watches only, and shown to nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

PENDING: Final = "pending"
APPROVED: Final = "approved"
REJECTED: Final = "rejected"

Row = dict[str, Any]

# Statements are made of pieces of our own; what is asked for is always a parameter.
_TIME: Final = '\'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\''
_ROW: Final = f"""
    d.namespace, d.name, d.state, d.decision, d.decided_by,
    to_char(d.decided_at AT TIME ZONE 'UTC', {_TIME}) AS decided_at, d.comment, d.asked, d.approved,
    to_char(d.seen_at AT TIME ZONE 'UTC', {_TIME}) AS seen_at,
    to_char(d.gone_at AT TIME ZONE 'UTC', {_TIME}) AS gone_at, d.offer, d.result
"""
_SHOWN: Final = "NOT (d.state = 'pending' AND d.gone_at IS NOT NULL)"
_PROBLEMATIC: Final = """
    (d.gone_at IS NULL AND d.state = 'approved' AND (
        coalesce(d.result -> 'problems', '[]') NOT IN ('[]', 'null')
        OR d.result ->> 'state' = 'refused'))
"""
_CHANGED: Final = """
    (d.gone_at IS NULL AND d.state = 'approved' AND d.result ->> 'asks_for_more' = 'true')
"""
_FILTERS: Final = {
    "": "true",
    **{state: f"d.state = '{state}'" for state in (PENDING, APPROVED, REJECTED)},
    "gone": "d.gone_at IS NOT NULL",
    "problems": _PROBLEMATIC,
    "changed": _CHANGED,
}
FILTERS: Final = tuple(_FILTERS)
"""Which there are to look for by; empty: all."""

_LIST: Final = """
    SELECT {what} FROM fengling.discovered_service AS d WHERE {shown} AND {state}
    AND (%(namespace)s = '' OR d.namespace = %(namespace)s)
    AND NOT EXISTS (SELECT FROM unnest(%(words)s::text[]) AS w
                    WHERE strpos(d.namespace || '/' || d.name, w) = 0)
"""
_PAGE: Final = """
    AND (d.namespace, d.name) > (%(after_namespace)s, %(after_name)s)
    ORDER BY d.namespace, d.name LIMIT %(limit)s
"""
_GET: Final = """
    SELECT {row} FROM fengling.discovered_service AS d
    WHERE d.namespace = %(namespace)s AND d.name = %(name)s AND {shown}
"""
_DECIDE: Final = """
    UPDATE fengling.discovered_service AS d
    SET state = %(state)s, asked = %(asked)s, comment = %(comment)s
    WHERE d.namespace = %(namespace)s AND d.name = %(name)s AND {shown}
      AND (%(annotations)s::jsonb IS NULL OR d.offer -> 'annotations' = %(annotations)s::jsonb)
    RETURNING {row}
"""
_COUNTS: Final = """
    SELECT count(*) FILTER (WHERE d.state = 'pending') AS pending,
           count(*) FILTER (WHERE d.state = 'approved') AS approved,
           count(*) FILTER (WHERE d.state = 'rejected') AS rejected,
           count(*) FILTER (WHERE d.gone_at IS NOT NULL) AS gone,
           count(*) FILTER (WHERE {problematic}) AS problems,
           count(*) FILTER (WHERE {changed}) AS changed
    FROM fengling.discovered_service AS d WHERE {shown}
"""
_LEADER: Final = """
    SELECT term, holder, to_char(since AT TIME ZONE 'UTC', {time}) AS since,
           round(extract(epoch FROM clock_timestamp() - heartbeat_at)::numeric, 1)::float8
               AS heartbeat_age_s, status
    FROM fengling.discovery
"""


class NotDiscoveredError(Exception):
    """There is no such service, and no decision about it."""


class OtherOfferError(Exception):
    """A service asks for something else by now than what was decided about; nothing is decided."""


class OtherRemovalError(Exception):
    """What somebody confirms is not what waits for it; nothing is confirmed."""


class Sought(NamedTuple):
    """
    Which services are looked for.

    Attributes:
        state: one of `FILTERS`; ``problems`` are those of what is approved, and ``changed`` is what
            offers something else since then.
        words: all are in ``namespace/name``.
    """

    state: str = ""
    namespace: str = ""
    words: tuple[str, ...] = ()


class Page(NamedTuple):
    """``after`` is where the list goes on, None at its end; ``total`` is how many there are on all."""

    rows: list[Row]
    after: tuple[str, str] | None
    total: int


class Overview(NamedTuple):
    """
    How it goes on the whole.

    Attributes:
        leader: ``term``, ``holder``, ``since`` and ``heartbeat_age_s``; None or 0 if nobody ever watched.
        status: what it said last of how it gets on.
        counts: how many there are by each filter.
    """

    leader: Row
    status: Row | None
    counts: dict[str, int]


def list_services(
    connection: Any, sought: Sought, *, after: tuple[str, str] | None = None, limit: int
) -> Page:
    """Return a page, in the order of namespaces and names."""
    parts = {"shown": _SHOWN, "state": _FILTERS[sought.state]}
    space, name = ("", "") if after is None else after
    arguments = {
        "namespace": sought.namespace,
        "words": [word.lower() for word in sought.words],
        "after_namespace": space,
        "after_name": name,
        "limit": limit + 1,
    }
    [counted] = _rows(connection, _LIST.format(what="count(*) AS total", **parts), arguments)
    rows = _rows(connection, _LIST.format(what=_ROW, **parts) + _PAGE, arguments)
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(
        rows[:limit],
        None if last is None else (last["namespace"], last["name"]),
        counted["total"],
    )


def get_service(connection: Any, namespace: str, name: str) -> Row:
    """
    Raises:
        NotDiscoveredError: there is none.
    """
    return _one(
        connection,
        _GET.format(row=_ROW, shown=_SHOWN),
        {"namespace": namespace, "name": name},
    )


def decide(  # noqa: PLR0913 - all that a decision is made of, by name
    connection: Any,
    namespace: str,
    name: str,
    state: str,
    *,
    asked: Mapping[str, Any],
    comment: str | None,
    by: str,
    annotations: Mapping[str, str] | None = None,
) -> Row:
    """
    Decide, and commit; also what has been decided before is decided anew, and tried again.

    Args:
        annotations: what is decided about; None: whatever they are.

    Raises:
        NotDiscoveredError: there is no such service.
        OtherOfferError: its annotations are others.
    """
    arguments = {
        "namespace": namespace,
        "name": name,
        "state": state,
        "asked": json.dumps(dict(asked)),
        "comment": comment,
        "annotations": None if annotations is None else json.dumps(dict(annotations)),
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('fengling.author', %s, true)", (by[:200],))
    decided = _rows(connection, _DECIDE.format(row=_ROW, shown=_SHOWN), arguments)
    connection.commit()
    if decided:
        return decided[0]
    get_service(connection, namespace, name)  # or it is this one that fails
    raise OtherOfferError(f"{namespace}/{name}")


def forget(connection: Any, namespace: str, name: str, *, by: str) -> Row | None:
    """
    Take a decision back, and commit; return what waits for another one, None if nothing is there.

    Raises:
        NotDiscoveredError: there is no such service.
    """
    row = decide(connection, namespace, name, PENDING, asked={}, comment=None, by=by)
    return row if row["gone_at"] is None else None


def confirm_removal(connection: Any, removal: str, *, by: str) -> None:
    """
    Let routes go that the cluster has no more, and commit.

    Args:
        removal: the id that whoever confirms was shown.

    Raises:
        OtherRemovalError: something else is waiting by now, or nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('fengling.author', %s, true)", (by[:200],))
        cursor.execute("SELECT fengling.confirm_removal(%s)", (removal,))
        [(is_confirmed,)] = cursor
    connection.commit()
    if not is_confirmed:
        raise OtherRemovalError(removal)


def overview(connection: Any) -> Overview:
    """Return who watches, how that goes, and how much there is to decide."""
    [leader] = _rows(connection, _LEADER.format(time=_TIME), {})
    [counts] = _rows(
        connection, _COUNTS.format(shown=_SHOWN, problematic=_PROBLEMATIC, changed=_CHANGED), {}
    )
    return Overview(leader, leader.pop("status"), counts)


def _one(connection: Any, statement: str, arguments: Mapping[str, Any]) -> Row:
    for row in _rows(connection, statement, arguments):
        return row
    raise NotDiscoveredError(f"{arguments['namespace']}/{arguments['name']}")


def _rows(connection: Any, statement: str, arguments: Mapping[str, Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
