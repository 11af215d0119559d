"""
What has changed, as far back as the log tells: by revision, by entity, between two revisions.

Values of secrets and digests of keys are shown as fingerprints. What the log no longer has is an
error of its own, and never an empty answer. All functions read in the current transaction of the
caller's connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fengling_gateway.configsource.postgres_rows import values_of
from fengling_gateway.editing.changes import Action, FieldChange
from fengling_gateway.editing.images import Image, fields_between, shown_image, without_bookkeeping
from fengling_gateway.editing.revisions import (
    ForgottenError,
    Reach,
    Revision,
    Sought,
    find_revision,
    list_revisions,
    require_revision,
)
from fengling_gateway.editing.stored import differ
from fengling_gateway.model.entity import KIND_INDEX, Key

MAX_CHANGES: Final = 1000
"""Of a revision, or between two, that are shown at once."""


@dataclass(frozen=True, slots=True)
class EntityChange:
    """
    What became of one entity, as anybody may see it.

    ``before`` and ``after`` are whole; None where there was none. ``revision`` is the one that
    changed it, the last one where there are several.
    """

    key: Key
    action: Action
    revision: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    fields: tuple[FieldChange, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "action": self.action,
            **self.key._asdict(),
            "revision": self.revision,
            "fields": {one.name: [one.before, one.after] for one in self.fields},
            "before": self.before,
            "after": self.after,
        }


class RevisionChanges(NamedTuple):
    """
    A revision and what it changed.

    ``after`` is what to ask with for more of its changes; None after the last. The log may have
    fewer than there were: see `Revision.kept`.
    """

    revision: Revision
    changes: list[EntityChange]
    after: int | None


class EntityHistory(NamedTuple):
    """
    The revisions that changed one entity, newest first, each with what it did to it.

    ``is_shortened``: what was before the last one is no longer known. ``before``: as of `Page`.
    """

    entries: list[tuple[Revision, EntityChange]]
    before: int | None
    is_shortened: bool


def read_revision(
    connection: Any, number: int, *, limit: int = MAX_CHANGES, after: int = 0
) -> RevisionChanges:
    """
    Return a revision with its changes, in the order in which they are in the log.

    Args:
        after: the ordinal after which to go on.

    Raises:
        NoRevisionError: there has never been one.
        ForgottenError: the log no longer has it.
    """
    revision = find_revision(connection, number)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ordinal, entity, entity_id, revision, before::text, after::text"
            " FROM fengling.revision_change WHERE revision = %s AND ordinal > %s"
            " ORDER BY ordinal LIMIT %s",
            (number, after, limit + 1),
        )
        rows = cursor.fetchall()
    changes = [_change(*row[1:]) for row in rows[:limit]]
    return RevisionChanges(revision, changes, rows[limit - 1][0] if len(rows) > limit else None)


def entity_history(
    connection: Any, key: Key, *, limit: int = 50, before: int | None = None
) -> EntityHistory:
    """Return who changed an entity, and how; empty for what the log has never seen."""
    sought = Sought(kind=None, entity=key.kind, entity_id=key.id)
    page = list_revisions(connection, sought, limit=limit, before=before)
    changes = changes_of(connection, key, [one.id for one in page.revisions])
    entries = [(one, changes[one.id]) for one in page.revisions]
    oldest = entries[-1][1] if entries else None
    holes = _holes(page.reach, key)
    is_shortened = (
        page.before is None
        and holes > 0
        and (oldest is None or oldest.action != "create" or oldest.revision <= holes)
    )
    return EntityHistory(entries, page.before, is_shortened)


def changes_of(connection: Any, key: Key, revisions: Iterable[int]) -> dict[int, EntityChange]:
    """Return what some revisions did to an entity."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT entity, entity_id, revision, before::text, after::text"
            " FROM fengling.revision_change"
            " WHERE entity = %s AND entity_id = %s AND revision = ANY (%s)",
            (*key, list(revisions)),
        )
        return {row[2]: _change(*row) for row in cursor}


def difference(connection: Any, start: int, end: int) -> list[EntityChange]:
    """
    Return what became of the configuration between two revisions, whichever is older.

    Several changes of an entity are one, and there and back again is none.

    Raises:
        NoRevisionError: one of them never was.
        ForgottenError: what there was at one of them is no longer known.
    """
    reach = require_revision(connection, start, end)
    require_known(reach, min(start, end))
    changes = []
    for one in net_changes(connection, min(start, end), max(start, end)):
        before, after = (one.before, one.after) if start <= end else (one.after, one.before)
        changes.append(_changed(one.key, one.revision, before, after))
    return changes


def require_known(reach: Reach, revision: int) -> None:
    """
    Make sure that the log tells all there was at a revision.

    Raises:
        ForgottenError: it doesn't.
    """
    if revision < reach.known_from:
        raise ForgottenError(f"all that there was at revision {revision}", reach)


class Net(NamedTuple):
    """An entity before and after some revisions, as rows; ``revision`` is the last of them."""

    key: Key
    revision: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def net_changes(connection: Any, start: int, end: int) -> Iterator[Net]:
    """Yield what changed after one revision up to another, but for health; by kind and id."""
    with connection.cursor() as cursor:
        cursor.execute(
            # (Images are looked up afterwards, one by one whatever the statistics say: there may be
            # many in between that nobody wants.)
            "WITH touched AS MATERIALIZED ("
            " SELECT entity, entity_id, min(revision) AS first, max(revision) AS last"
            " FROM fengling.revision_change"
            " WHERE revision > %s AND revision <= %s AND entity <> 'instance_health'"
            " GROUP BY entity, entity_id)"
            " SELECT t.entity, t.entity_id, t.last,"
            " (SELECT c.before::text FROM fengling.revision_change AS c WHERE c.entity = t.entity"
            " AND c.entity_id = t.entity_id AND c.revision = t.first),"
            " (SELECT c.after::text FROM fengling.revision_change AS c WHERE c.entity = t.entity"
            " AND c.entity_id = t.entity_id AND c.revision = t.last)"
            " FROM touched AS t",
            (start, end),
        )
        rows = cursor.fetchall()
    for kind, entity_id, revision, before, after in sorted(rows, key=_order):
        key = Key(kind, entity_id)
        net = Net(key, revision, _row(key, before), _row(key, after))
        if differ(_plain(net.before), _plain(net.after)):
            yield net


def entity_at(connection: Any, key: Key, revision: int) -> dict[str, Any] | None:
    """
    Return what there was of an entity at a revision, as anybody may see it; None for nothing.

    Raises:
        NoRevisionError: the revision never was.
        ForgottenError: it is no longer known.
    """
    reach = require_revision(connection, revision)
    with connection.cursor() as cursor:
        cursor.execute(
            "(SELECT false, after::text FROM fengling.revision_change"
            " WHERE entity = %(kind)s AND entity_id = %(id)s AND revision <= %(at)s"
            " ORDER BY revision DESC LIMIT 1) UNION ALL"
            " (SELECT true, before::text FROM fengling.revision_change"
            " WHERE entity = %(kind)s AND entity_id = %(id)s AND revision > %(at)s"
            " ORDER BY revision LIMIT 1)",
            {"kind": key.kind, "id": key.id, "at": revision},
        )
        found = dict(cursor.fetchall())
    if False in found:
        return shown_image(key, _row(key, found[False]))
    if revision < _holes(reach, key):
        raise ForgottenError(f"what {key} was at revision {revision}", reach)
    return shown_image(key, _row(key, found.get(True)))


def _holes(reach: Reach, key: Key) -> int:
    """Return up to where the log may lack changes of an entity."""
    return reach.pruned_to if key.kind == "instance_health" else reach.known_from


def _change(
    kind: str, entity_id: str, revision: int, before: str | None, after: str | None
) -> EntityChange:
    key = Key(kind, entity_id)
    return _changed(key, revision, _row(key, before), _row(key, after))


def _changed(key: Key, revision: int, before: Image | None, after: Image | None) -> EntityChange:
    action: Action = "create" if before is None else "delete" if after is None else "update"
    return EntityChange(
        key,
        action,
        revision,
        shown_image(key, before),
        shown_image(key, after),
        fields_between(key, before, after),
    )


def _row(key: Key, text: str | None) -> dict[str, Any] | None:
    return None if text is None else values_of(key, text)


def _plain(row: Image | None) -> dict[str, Any] | None:
    return None if row is None else without_bookkeeping(row)


def _order(row: tuple[Any, ...]) -> tuple[int, str]:
    return KIND_INDEX.get(row[0], len(KIND_INDEX)), row[1]
