"""
The questions that are asked of the database, and what is made of the answers.

Everything here blocks and runs on the reading thread. Each question is one
REPEATABLE READ transaction, with its settings made inside it, so that a pooler
in transaction mode may sit between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from fengling_gateway.configsource.postgres_connection import GRACE_SECONDS, Guarded
from fengling_gateway.configsource.postgres_rows import ID_COLUMN, JsonRows, values_of
from fengling_gateway.configsource.reading import (
    MAX_REVISIONS_READ,
    Held,
    Reading,
    RevisionInfo,
)
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import KINDS, Key
from fengling_gateway.schema.version import refuse_unusable

BATCH_ROWS: Final = 2000
"""Rows fetched at once: large enough not to matter, small enough not to pile up."""

MAX_VERSIONS: Final = 200
"""How far back the history of one entity is looked up."""

MAX_REVISIONS_BEHIND: Final = 10_000
"""Further behind, reading everything is the shorter way: some 100 bytes for each revision."""

_KEYS_AT_ONCE: Final = 500

SEARCH_PATH: Final = "search_path = pg_catalog, pg_temp"
"""Or we would call what a stranger has put into ``public`` under a name that fits better."""

_BEGIN = f"""
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL {SEARCH_PATH};
SET LOCAL statement_timeout = %(timeout_ms)s;
SET LOCAL intervalstyle = 'iso_8601';
SET LOCAL timezone = 'UTC';
"""

_HEAD = """SELECT (SELECT version_num FROM fengling.schema_version), fengling.epoch(),
       h.revision, h.baseline_revision, h.baseline_token::text,
       (SELECT pruned_to FROM fengling.retention),
       (SELECT token::text = %(token)s FROM fengling.revision WHERE id = %(revision)s),
       first.id, first.baseline_routes, first.routes
FROM fengling.head AS h LEFT JOIN LATERAL (
    SELECT id, baseline_routes, routes FROM fengling.revision
    WHERE held AND NOT forced AND id > h.baseline_revision ORDER BY id LIMIT 1) AS first ON true
"""

# Everything of an incremental read in one statement, hence one snapshot and one round trip:
# this is what stands between a commit and its being served.
# (The log has no secrets, so a secret comes from its table; of the same snapshot, it is the one
# that the log means. And materialized, or the planner may walk the whole index on entities for its order.)
_CHANGES = f"""
WITH head AS MATERIALIZED ({_HEAD.strip()}), target AS MATERIALIZED (
    SELECT CASE WHEN known AND epoch = %(epoch)s AND %(revision)s BETWEEN
        greatest(pruned_to, baseline_revision - {MAX_REVISIONS_BEHIND}) AND baseline_revision
        THEN baseline_revision END AS revision
    FROM head AS h (schema, epoch, newest, baseline_revision, token, pruned_to, known)
), recent AS MATERIALIZED (
    SELECT entity, entity_id, revision, after FROM fengling.revision_change
    WHERE revision > %(revision)s AND revision <= (SELECT revision FROM target)
), changed AS (
    SELECT DISTINCT ON (entity, entity_id) entity, entity_id,
        CASE entity WHEN 'secret' THEN (
            SELECT row_to_json(t)::text FROM fengling.secret AS t WHERE t.id = entity_id)
        ELSE after::text END AS after
    FROM recent ORDER BY entity, entity_id, revision DESC
), revisions AS (
    SELECT json_build_array(id, token::text, kind, extract(epoch FROM committed_at)::float8,
        author, author_verified, db_user, application, host(client_addr), comment, forced, held,
        changes) AS columns
    FROM fengling.revision WHERE id > %(revision)s ORDER BY id DESC LIMIT %(limit)s)
SELECT head.*, (SELECT revision IS NOT NULL FROM target),
    (SELECT array_agg(ARRAY[entity, entity_id, after]) FROM changed),
    (SELECT json_agg(columns) FROM revisions)
FROM head
"""  # noqa: S608 - of our own pieces

# The settings are made in the implicit transaction that the statements of one message share.
_READ_CHANGES = f"SET LOCAL {SEARCH_PATH}; SET LOCAL statement_timeout = %(timeout_ms)s; {_CHANGES}"

_PREPARED = {"epoch": "text", "revision": "bigint", "token": "text", "limit": "integer"}
_PREPARE_CHANGES = f"PREPARE fengling_changes ({', '.join(_PREPARED.values())}) AS " + _CHANGES % {
    name: f"${number}" for number, name in enumerate(_PREPARED, 1)
}
_EXECUTE_CHANGES = f"EXECUTE fengling_changes ({', '.join(f'%({name})s' for name in _PREPARED)})"

# (Of secrets, those that have been made since: no other can change meanwhile.)
_CHANGED_SINCE_HELD = """
WITH recent AS MATERIALIZED (
    SELECT entity, entity_id, revision, before FROM fengling.revision_change
    WHERE revision > %(target)s)
SELECT DISTINCT ON (entity, entity_id) entity, entity_id, before::text
FROM recent ORDER BY entity, entity_id, revision
"""

_REVISIONS = """
SELECT id, token::text, kind, extract(epoch FROM committed_at)::float8, author, author_verified,
       db_user, application, host(client_addr), comment, forced, held, changes
FROM fengling.revision WHERE id > %(after)s ORDER BY id DESC LIMIT %(limit)s
"""

# Of a secret's versions those count that have the value which it has now: there is no other.
_IMAGE = """CASE w.entity WHEN 'secret' THEN c.{image} || coalesce((
        SELECT jsonb_build_object('value', t.value) FROM fengling.secret AS t
        WHERE t.id = w.entity_id
        AND fengling.fingerprint(t.value) = c.{image} ->> 'fingerprint'), '{{}}')
    ELSE c.{image} END::text"""

_HISTORY = f"""
SELECT w.entity, w.entity_id, {_IMAGE.format(image="after")}, {_IMAGE.format(image="before")}
FROM unnest(%(kinds)s::text[], %(ids)s::text[]) AS w (entity, entity_id) CROSS JOIN LATERAL (
    SELECT v.revision, v.after,
           CASE WHEN row_number() OVER (ORDER BY v.revision) = 1 THEN v.before END AS before
    FROM (SELECT revision, before, after FROM fengling.revision_change AS r
          WHERE r.entity = w.entity AND r.entity_id = w.entity_id AND r.revision <= %(up_to)s
            -- Not a deletion that was held until the entity was back: nobody has served it.
            AND NOT (r.action = 'delete' AND EXISTS (
                SELECT FROM (SELECT min(l.revision) AS at FROM fengling.revision_change AS l
                             WHERE l.entity = r.entity AND l.entity_id = r.entity_id
                               AND l.revision > r.revision) AS back
                WHERE back.at - r.revision = (
                    SELECT count(*) FROM fengling.revision AS h WHERE h.held AND NOT h.forced
                    AND h.id >= r.revision AND h.id < back.at)))
          ORDER BY r.revision DESC LIMIT %(limit)s) AS v) AS c
ORDER BY w.entity, w.entity_id, c.revision DESC
"""  # noqa: S608 - of our own pieces


class Head(NamedTuple):
    """
    What is to be served.

    ``continues``: the position asked with is of this database's past, whether or
    not the log still reaches back to it.
    """

    target: Position
    held: Held | None
    continues: bool


@contextmanager
def reading(
    connection: Guarded, statement_timeout: float, after: Position | None = None
) -> Iterator[Head]:
    """
    Open a snapshot for the block and look at the head.

    After an error the connection is in a failed transaction: close it.

    Raises:
        SchemaError: somebody has upgraded the database, too far for this code.
    """
    within = statement_timeout + GRACE_SECONDS
    asked = after or Position("", -1, "")
    arguments = {"timeout_ms": int(statement_timeout * 1000), **_arguments(asked)}
    [row] = connection.execute(_BEGIN + _HEAD, arguments, within=within)
    yield _head(connection, row, asked)
    connection.execute("COMMIT", within=within)


def _head(connection: Guarded, row: tuple[Any, ...], asked: Position) -> Head:
    schema, epoch, _, revision, token, pruned_to, known, culprit, before, left = row
    refuse_unusable(int(schema), connection.raw)
    if known is None:
        # Its revision is gone, and its token with it: by then it has long been overtaken.
        known = 0 <= asked.revision <= pruned_to
    return Head(
        target=Position(epoch, revision, token),
        held=None if culprit is None else Held(culprit, before, left),
        continues=known and asked.epoch == epoch and asked.revision <= revision,
    )


def read_changes(connection: Guarded, after: Position, statement_timeout: float) -> Reading | None:
    """
    Read what leads from a position in the log to what is to be served.

    Returns None where the log does not know the position, or only as one of long
    ago: read everything.

    Raises:
        SchemaError: as `reading`.
    """
    arguments = {"timeout_ms": int(statement_timeout * 1000), **_arguments(after)}
    rows = connection.execute(_READ_CHANGES, arguments, within=statement_timeout + GRACE_SECONDS)
    return _changes(connection, after, rows)


def prepare_changes(connection: Guarded, within: float) -> None:
    """Prepare what `read_prepared` executes; not over a pooler's connection."""
    connection.execute(_PREPARE_CHANGES, within=within)


def read_prepared(connection: Guarded, after: Position, within: float) -> Reading | None:
    """Do what `read_changes` does, without planning it again."""
    rows = connection.execute(_EXECUTE_CHANGES, _arguments(after), within=within)
    return _changes(connection, after, rows)


def _arguments(after: Position) -> dict[str, Any]:
    return {
        "epoch": after.epoch,
        "revision": after.revision,
        "token": after.token,
        "limit": MAX_REVISIONS_READ,
    }


def _changes(connection: Guarded, after: Position, answer: list[tuple[Any, ...]]) -> Reading | None:
    [[*row, known, changed, revisions]] = answer
    head = _head(connection, tuple(row), after)
    if not known:
        return None
    rows = [(kind, entity_id, text) for kind, entity_id, text in changed or ()]
    infos = [RevisionInfo(*columns) for columns in reversed(revisions or ())]
    return Reading(head.target, after, JsonRows(rows), infos, head.held, len(rows))


def read_tables(connection: Guarded, head: Head, within: float) -> Reading:
    """Read all tables; while a revision is held, with its changes and later ones undone."""
    rows: list[tuple[str, str, str | None]] = []
    for kind in KINDS:
        rows.extend(_table(connection, kind, within))
    read = len(rows)
    if head.held is not None:
        undone = connection.execute(
            _CHANGED_SINCE_HELD, {"target": head.target.revision}, within=within
        )
        read += len(undone)
        merged = {(kind, entity_id): text for kind, entity_id, text in rows}
        merged.update({(kind, entity_id): text for kind, entity_id, text in undone})
        rows = [(*key, text) for key, text in merged.items() if text is not None]
    revisions = _revisions(connection, head.target.revision - 1, within)
    return Reading(
        head.target, None, JsonRows(rows), revisions, head.held, read, continues=head.continues
    )


class NoSuchStateError(Exception):
    """What the database had at a revision is not to be had; says why."""


_STATE = """
SELECT r.token::text, r.held AND NOT r.forced, (SELECT known_from FROM fengling.retention),
    (SELECT string_agg(DISTINCT c.entity_id, ', ') FROM fengling.revision_change AS c
     WHERE c.revision > %(revision)s AND c.entity = 'secret' AND c.before IS NOT NULL)
FROM (SELECT %(revision)s::bigint AS id) AS wanted
LEFT JOIN fengling.revision AS r ON r.id = wanted.id
"""


def read_at(connection: Guarded, head: Head, revision: int, within: float) -> Reading:
    """
    Read all tables as they were at a revision.

    Raises:
        NoSuchStateError: it is not known, or not all of it.
    """
    [[token, held, known_from, secrets]] = connection.execute(
        _STATE, {"revision": revision}, within=within
    )
    if revision < known_from:
        raise NoSuchStateError(f"the log of changes reaches back to revision {known_from} only")
    if token is None:
        raise NoSuchStateError("the database has no such revision")
    if held or revision > head.target.revision:
        raise NoSuchStateError("it is held, and has never been served")
    if secrets is not None:
        raise NoSuchStateError(f"the database no longer knows what these secrets were: {secrets}")
    target = Position(head.target.epoch, revision, token)
    # (Undone is what has come since, as while a revision is held.)
    return read_tables(connection, head._replace(target=target, held=Held(revision, 0, 0)), within)


def _table(connection: Guarded, kind: str, within: float) -> Iterator[tuple[str, str, str | None]]:
    id_column = ID_COLUMN.get(kind, "id")
    sql = f"SELECT t.{id_column}, row_to_json(t)::text FROM fengling.{kind} AS t"  # noqa: S608 (ours)
    connection.execute(f"DECLARE everything NO SCROLL CURSOR FOR {sql}", within=within)
    while rows := connection.execute(f"FETCH {BATCH_ROWS} FROM everything", within=within):
        for entity_id, text in rows:
            yield kind, entity_id, text
    connection.execute("CLOSE everything", within=within)


def _revisions(connection: Guarded, after: int, within: float) -> list[RevisionInfo]:
    rows = connection.execute(
        _REVISIONS, {"after": after, "limit": MAX_REVISIONS_READ}, within=within
    )
    return [RevisionInfo(*row) for row in reversed(rows)]


def read_history(
    connection: Guarded, keys: list[Key], up_to: int, within: float
) -> dict[Key, list[dict[str, Any]]]:
    """Look up the versions of entities since they were last made, newest first."""
    found: dict[Key, list[dict[str, Any]]] = {key: [] for key in keys}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        arguments = {
            "kinds": [key.kind for key in some],
            "ids": [key.id for key in some],
            "up_to": up_to,
            "limit": MAX_VERSIONS,
        }
        _sort_versions(found, connection.execute(_HISTORY, arguments, within=within))
    return found


def _sort_versions(found: dict[Key, list[dict[str, Any]]], rows: Iterable[tuple[Any, ...]]) -> None:
    ended: set[Key] = set()
    for kind, entity_id, after, before in rows:
        key = Key(kind, entity_id)
        if key in ended:
            continue
        if after is None:
            ended.add(key)  # what was before a deletion must not come back
            continue
        found[key].append(values_of(key, after))
        if before is not None:
            found[key].append(values_of(key, before))
