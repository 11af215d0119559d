"""
Going back: to a revision, or behind single ones. As a plan, like any other change.

What is planned is judged by today's rules and written by
`fengling_gateway.editing.transaction.write` as a new revision. What can't come back is told, and
stays as it is: values of secrets, which nobody has any more, and who has been shut out since.
Health is left to those who observe it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg2 import sql

from fengling_gateway.configsource.postgres_rows import values_of
from fengling_gateway.editing.changes import Planned, references
from fengling_gateway.editing.history import net_changes, require_known
from fengling_gateway.editing.images import Image
from fengling_gateway.editing.judging import Judged, judge
from fengling_gateway.editing.planning import WRITABLE_KINDS, ChangePlan, InvalidError
from fengling_gateway.editing.returning import Left, return_to
from fengling_gateway.editing.revisions import (
    ForgottenError,
    find_revision,
    read_reach,
    require_revision,
)
from fengling_gateway.editing.rows import deleted_once, read_history, read_rows, read_some, snapshot
from fengling_gateway.model.entity import KIND_INDEX, Key


class Dropped(NamedTuple):
    """Somebody's revisions that are taken back."""

    author: str
    revisions: int


@dataclass(frozen=True, slots=True)
class Rollback:
    """
    What a rollback changes, and what it leaves.

    Attributes:
        what: says so, for the comment of the new revision.
        at: the newest revision when it was planned.
        after: the rows of what changes as they would be; None for what goes.
        dropped: whose revisions are taken back, most first.
    """

    what: str
    at: int
    changes: list[Planned]
    after: Mapping[Key, dict[str, Any] | None]
    left: list[Left]
    dropped: list[Dropped]

    def comment(self, reason: str | None) -> str:
        """Return the comment of the new revision, with somebody's reason."""
        return f"{self.what}: {reason}" if reason else self.what


class Since(NamedTuple):
    """That an entity has changed again, and in which revision."""

    key: Key
    revision: int


class ChangedSinceError(Exception):
    """Entities have changed again since the revisions that are to be undone."""

    def __init__(self, conflicts: Sequence[Since]) -> None:
        some = [f"{one.key} (in revision {one.revision})" for one in conflicts[:5]]
        more = f" and {len(conflicts) - 5} more" if len(conflicts) > 5 else ""
        super().__init__(f"changed again since: {', '.join(some)}{more}")
        self.conflicts = tuple(conflicts)


class NothingError(Exception):
    """The revisions changed no configuration."""


def make_rollback(
    connection: Any, *, to: int | None = None, of: Sequence[int] = ()
) -> tuple[Rollback, ChangePlan]:
    """
    Plan a rollback and judge it, at one moment.

    Args:
        to: a revision, as which everything is to be again; or else
        of: revisions that are to be undone.

    Raises:
        What `plan_rollback`, `plan_undo` and `judge_rollback` raise.
    """
    with snapshot(connection):
        planned = plan_undo(connection, of) if to is None else plan_rollback(connection, to)
        return planned, judge_rollback(connection, planned)


def plan_rollback(connection: Any, revision: int) -> Rollback:
    """
    Plan to have everything as it was at a revision; in the current transaction.

    Raises:
        NoRevisionError, ForgottenError: it never was, or is no longer known.
    """
    reach = require_revision(connection, revision)
    require_known(reach, revision)
    targets = {one.key: one.before for one in net_changes(connection, revision, reach.newest)}
    dropped = _dropped(connection, after=revision)
    return _plan(connection, targets, f"rollback to revision {revision}", dropped)


def plan_undo(connection: Any, revisions: Iterable[int]) -> Rollback:
    """
    Plan the opposite of revisions; in the current transaction.

    Raises:
        NoRevisionError, ForgottenError: one never was, or is no longer known.
        NothingError: they changed no configuration.
        ChangedSinceError: what they changed has changed again, in others that stay.
    """
    numbers = sorted(set(revisions))
    for number in numbers:
        found = find_revision(connection, number)
        if found.kept < found.changes:
            reach = read_reach(connection)
            raise ForgottenError(f"some of what revision {number} changed", reach)
    targets = _before(connection, numbers)
    named = ", ".join(map(str, numbers))
    if not targets:
        raise NothingError(f"revision {named} changed no configuration")
    if conflicts := _changed_since(connection, numbers):
        raise ChangedSinceError(conflicts)
    what = f"undo of revision{'' if len(numbers) == 1 else 's'} {named}"
    return _plan(connection, targets, what, _dropped(connection, of=numbers))


def judge_rollback(connection: Any, planned: Rollback) -> ChangePlan:
    """
    Judge what there would be, by today's rules; in the current transaction.

    Raises:
        InvalidError: it would have errors that there are not now.
    """
    current = read_rows(connection, WRITABLE_KINDS)
    together = {**current, **planned.after}
    after = {key: row for key, row in together.items() if row is not None}
    judged = judge(after, lambda keys: read_history(connection, keys))
    if wrong := _made_wrong(connection, planned.changes, current, judged):
        raise InvalidError(Judged(judged.bodies, wrong))
    made = [one.key for one in planned.changes if one.action == "create"]
    needed = references(planned.changes, judged.bodies, current)
    return ChangePlan(planned.changes, judged.bodies, needed, deleted_once(connection, made))


def _made_wrong(
    connection: Any,
    changes: Sequence[Planned],
    current: Mapping[Key, dict[str, Any]],
    after: Judged,
) -> dict[Key, Any]:
    """Return what would be rejected because of the changes."""
    changed = {one.key for one in changes}
    if after.rejected.keys() <= changed:
        return after.rejected
    before = judge(current, lambda keys: read_history(connection, keys)).rejected
    return {
        key: why
        for key, why in after.rejected.items()
        if key in changed or key not in before or before[key].problems != why.problems
    }


def _plan(
    connection: Any, targets: Mapping[Key, Image | None], what: str, dropped: list[Dropped]
) -> Rollback:
    current = _read_current(connection, targets)
    columns = {kind: _columns(connection, kind) for kind in {key.kind for key in targets}}
    changes, left = [], []
    for key, target in sorted(targets.items(), key=lambda item: _order(item[0])):
        returned = return_to(key, target, current.get(key), columns[key.kind])
        left += returned.left
        if returned.change is not None:
            changes.append(returned.change)
    after = {one.key: _row_after(one, current.get(one.key, {})) for one in changes}
    return Rollback(what, read_reach(connection).newest, changes, after, left, dropped)


def _row_after(change: Planned, row: Image) -> dict[str, Any] | None:
    return None if change.action == "delete" else {**row, **change.values}


def _order(key: Key) -> tuple[int, str]:
    return KIND_INDEX[key.kind], key.id


def _before(connection: Any, revisions: list[int]) -> dict[Key, Image | None]:
    """Return what there was of all that revisions changed, before the first of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (entity, entity_id) entity, entity_id, before::text"
            " FROM fengling.revision_change"
            " WHERE revision = ANY (%s) AND entity <> 'instance_health'"
            " ORDER BY entity, entity_id, revision",
            (revisions,),
        )
        rows = [(Key(kind, entity_id), text) for kind, entity_id, text in cursor]
    return {key: None if text is None else values_of(key, text) for key, text in rows}


def _changed_since(connection: Any, revisions: list[int]) -> list[Since]:
    """Return what others have changed after the first of some revisions that did."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.entity, w.entity_id, min(c.revision) FROM ("
            " SELECT entity, entity_id, min(revision) AS first FROM fengling.revision_change"
            " WHERE revision = ANY (%(of)s) AND entity <> 'instance_health'"
            " GROUP BY entity, entity_id) AS w"
            " JOIN fengling.revision_change AS c USING (entity, entity_id)"
            " WHERE c.revision > w.first AND c.revision <> ALL (%(of)s)"
            " GROUP BY w.entity, w.entity_id ORDER BY w.entity, w.entity_id",
            {"of": revisions},
        )
        return [Since(Key(kind, entity_id), later) for kind, entity_id, later in cursor]


def _dropped(connection: Any, *, after: int | None = None, of: Sequence[int] = ()) -> list[Dropped]:
    """Return whose revisions are taken back: all after one, or some."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT author, count(*) FROM fengling.revision"
            " WHERE kind = 'config' AND (id > %s OR id = ANY (%s::bigint[]))"
            " GROUP BY author ORDER BY 2 DESC, 1",
            (after, list(of)),
        )
        return [Dropped(*row) for row in cursor]


def _read_current(connection: Any, keys: Iterable[Key]) -> dict[Key, dict[str, Any]]:
    """Return the rows of entities, of secrets with the fingerprints that the log has of them."""
    rows = read_some(connection, keys)
    secrets = [key.id for key in rows if key.kind == "secret"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, fengling.fingerprint(value) FROM fengling.secret WHERE id = ANY (%s)",
            (secrets,),
        )
        for secret, fingerprint in cursor:
            rows[Key("secret", secret)]["fingerprint"] = fingerprint
    return rows


def _columns(connection: Any, kind: str) -> frozenset[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT * FROM fengling.{} LIMIT 0").format(sql.Identifier(kind)))
        return frozenset(column.name for column in cursor.description)
