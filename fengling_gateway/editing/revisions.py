"""
Revisions in the log: who committed what, when and why, newest first.

All functions read in the current transaction of the caller's connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from fengling_gateway.model.entity import Key

MAX_PAGE: Final = 1000

_NAMED: Final = 5
"""Changes of a revision that a line about it names."""

State = Literal["served", "forced", "confirmed", "held", "waiting", "never served"]


class Changed(NamedTuple):
    """That a revision made, changed or deleted an entity."""

    action: str
    key: Key


class Reach(NamedTuple):
    """
    How far back the log goes.

    Attributes:
        newest: the last revision.
        known_from: the oldest revision of which it tells all there was.
        pruned_to: up to here it has holes, if only of health.
    """

    newest: int
    known_from: int
    pruned_to: int


@dataclass(frozen=True, slots=True)
class Revision:
    """
    One committed transaction.

    ``author`` is what the writer claims (``author_verified``: a console vouches for it, or it is
    the user who was logged in); ``db_user`` nobody can claim. ``changes`` is how many it made, and
    ``kept`` how many the log still has. ``first`` are some of those.
    """

    id: int
    kind: Literal["config", "health"]
    committed_at: float
    author: str
    author_verified: bool
    db_user: str
    application: str
    client_addr: str | None
    comment: str | None
    state: State
    forced: bool
    held: bool
    confirmed_by: str | None
    confirmed_db_user: str | None
    confirmed_at: float | None
    changes: int
    kept: int
    first: tuple[Changed, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON, with times as text."""
        first = [{"action": one.action, **one.key._asdict()} for one in self.first]
        times = {name: iso(getattr(self, name)) for name in ("committed_at", "confirmed_at")}
        return {**asdict(self), **times, "first": first}


class ForgottenError(Exception):
    """What is asked for has been in the log once, which has been shortened since."""

    def __init__(self, what: str, reach: Reach) -> None:
        super().__init__(
            f"{what} is no longer known: the log of changes has been shortened, "
            f"and tells all there was from revision {reach.known_from} on"
        )
        self.reach = reach


class NoRevisionError(Exception):
    """There is no such revision."""

    def __init__(self, revision: int, newest: int) -> None:
        super().__init__(f"there is no revision {revision}; the newest is {newest}")
        self.revision = revision


@dataclass(frozen=True, slots=True)
class Sought:
    """
    Which revisions are looked for; what is None does not matter.

    Attributes:
        kind: of the revision: ``config``, ``health``, or both.
        entity: the kind of an entity that it changed, with ``entity_id`` its id.
        db_user: who was logged in, whoever the author is said to be.
        without: not those of this author.
        text: in its comment, in upper or lower case.
        since: seconds since the epoch, and so is ``until``, which is not included.
    """

    kind: Literal["config", "health"] | None = "config"
    author: str | None = None
    without: str | None = None
    db_user: str | None = None
    entity: str | None = None
    entity_id: str | None = None
    text: str | None = None
    since: float | None = None
    until: float | None = None


class Page(NamedTuple):
    """
    Some revisions, newest first.

    ``before`` is what to ask with for the next page; None after the last. If ``is_shortened`` there
    have been more once, which are no longer known.
    """

    revisions: list[Revision]
    before: int | None
    is_shortened: bool
    reach: Reach


_COLUMNS: Final = """r.id, r.kind, extract(epoch FROM r.committed_at)::float8, r.author,
    r.author_verified, r.db_user, r.application, host(r.client_addr), r.comment,
    CASE WHEN r.confirmed_at IS NOT NULL THEN 'confirmed'
         WHEN r.held AND NOT r.forced AND r.id <= h.baseline_revision THEN 'never served'
         WHEN r.id > h.baseline_revision AND r.held THEN
             CASE WHEN r.id = h.culprit THEN 'held' ELSE 'waiting' END
         WHEN r.forced THEN 'forced' ELSE 'served' END,
    r.forced, r.held, r.confirmed_by, r.confirmed_db_user,
    extract(epoch FROM r.confirmed_at)::float8, r.changes,
    CASE WHEN r.id > h.pruned_to THEN r.changes ELSE (
        SELECT count(*) FROM fengling.revision_change AS c WHERE c.revision = r.id) END,
    (SELECT json_agg(json_build_array(c.action, c.entity, c.entity_id) ORDER BY c.ordinal)
     FROM (SELECT * FROM fengling.revision_change AS c WHERE c.revision = r.id
           ORDER BY c.ordinal LIMIT %(named)s) AS c)"""

_FROM: Final = """FROM fengling.revision AS r CROSS JOIN (
    SELECT h.baseline_revision, t.pruned_to, (
        SELECT min(c.id) FROM fengling.revision AS c
        WHERE c.held AND NOT c.forced AND c.id > h.baseline_revision) AS culprit
    FROM fengling.head AS h CROSS JOIN fengling.retention AS t) AS h"""

_CONDITIONS: Final = {
    "kind": "r.kind = %(kind)s",
    "author": "r.author = %(author)s",
    "without": "r.author <> %(without)s",
    "db_user": "r.db_user = %(db_user)s",
    "entity": "EXISTS (SELECT FROM fengling.revision_change AS c"
    " WHERE c.revision = r.id AND c.entity = %(entity)s)",
    "text": "strpos(lower(r.comment), lower(%(text)s)) > 0",
    "since": "r.committed_at >= to_timestamp(%(since)s)",
    "until": "r.committed_at < to_timestamp(%(until)s)",
    "before": "r.id < %(before)s",
}
_ONE_ENTITY: Final = """r.id IN (SELECT c.revision FROM fengling.revision_change AS c
    WHERE c.entity = %(entity)s AND c.entity_id = %(entity_id)s)"""


def list_revisions(
    connection: Any, sought: Sought, *, limit: int = 50, before: int | None = None
) -> Page:
    """
    Return a page of the revisions that are looked for.

    Args:
        limit: at most `MAX_PAGE`.
        before: only those with a smaller number.
    """
    limit = min(limit, MAX_PAGE)
    given = {**asdict(sought), "before": before}
    conditions = [text for name, text in _CONDITIONS.items() if given[name] is not None]
    if sought.entity_id is not None:
        conditions[:] = [one for one in conditions if one != _CONDITIONS["entity"]]
        conditions.append(_ONE_ENTITY)
    found = _select(connection, conditions, {**given, "limit": limit + 1})
    reach = read_reach(connection)
    has_more = len(found) > limit
    holes = reach.known_from if sought.kind == "config" else reach.pruned_to
    return Page(
        found[:limit],
        found[limit - 1].id if has_more else None,
        not has_more and _is_shortened(connection, holes, sought.since),
        reach,
    )


def _is_shortened(connection: Any, holes: int, since: float | None) -> bool:
    """Whether the log, which has holes up to a revision, may lack some that came since a time."""
    if holes == 0 or since is None:
        return holes > 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM committed_at)::float8 FROM fengling.revision"
            " WHERE id > %s ORDER BY id LIMIT 1",
            (holes,),
        )
        [whole_from] = cursor.fetchone() or [None]
    return whole_from is None or bool(since < whole_from)


def find_revision(connection: Any, number: int) -> Revision:
    """
    Return one revision.

    Raises:
        NoRevisionError: there has never been one.
        ForgottenError: the log no longer has it.
    """
    found = _select(connection, ["r.id = %(id)s"], {"id": number, "limit": 1})
    if found:
        return found[0]
    reach = require_revision(connection, number)
    raise ForgottenError(f"revision {number}", reach)


def find_revisions(connection: Any, numbers: Iterable[int]) -> dict[int, Revision]:
    """Return those of some revisions that the log has."""
    wanted = list(numbers)
    given = {"ids": wanted, "limit": len(wanted)}
    return {one.id: one for one in _select(connection, ["r.id = ANY (%(ids)s)"], given)}


def revisions_after(connection: Any, number: int, limit: int = MAX_PAGE) -> list[Revision]:
    """Return the first revisions of all kinds after one, oldest first."""
    given = {"after": number, "limit": limit}
    return _select(connection, ["r.id > %(after)s"], given, order="ASC")


def require_revision(connection: Any, *numbers: int) -> Reach:
    """
    Return how far the log goes, if revisions are or have been.

    Raises:
        NoRevisionError: one of them never was.
    """
    reach = read_reach(connection)
    for number in numbers:
        if not 0 <= number <= reach.newest:
            raise NoRevisionError(number, reach.newest)
    return reach


def read_reach(connection: Any) -> Reach:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.revision, t.known_from, t.pruned_to"
            " FROM fengling.head AS h CROSS JOIN fengling.retention AS t"
        )
        return Reach(*cursor.fetchone())


def _select(
    connection: Any, conditions: list[str], arguments: dict[str, Any], order: str = "DESC"
) -> list[Revision]:
    where = " AND ".join(conditions) or "true"
    query = f"SELECT {_COLUMNS} {_FROM} WHERE {where} ORDER BY r.id {order} LIMIT %(limit)s"
    with connection.cursor() as cursor:
        cursor.execute(query, {**arguments, "named": _NAMED})
        return [_revision(row) for row in cursor]


def _revision(row: tuple[Any, ...]) -> Revision:
    *columns, first = row
    named = tuple(Changed(action, Key(kind, name)) for action, kind, name in first or ())
    return Revision(*[*columns, named])


def iso(at: float | None) -> str | None:
    """Return a time as JSON has it: ISO 8601, in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
