"""
Drift: what others have changed of entities since they were applied.

Applying leaves a mark in the log, the application of its revision. So whoever has set a field of
an entity after the last such mark has changed what was applied. Of entities without a mark (they
were applied by an older version, or never) a field has drifted if it once was as it is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from fengling_gateway.configsource.postgres_rows import values_of
from fengling_gateway.editing.changes import FieldChange, Planned, plain_fields
from fengling_gateway.editing.revisions import Revision, find_revisions
from fengling_gateway.editing.stored import differ
from fengling_gateway.model.entity import Key

APPLIED: Final = "fenglingctl apply"

MAX_VERSIONS: Final = 20
"""Changes of an entity that are looked at, from the newest: who changes more often is named anyway."""

_KEYS_AT_ONCE: Final = 200
_LONGEST_NAME: Final = 63
"""Bytes of an application's name that PostgreSQL keeps."""

Row = Mapping[str, Any]


class Drift(NamedTuple):
    """
    Something that others have changed, newest first.

    ``field`` is None where it is the entity that was made or deleted.
    """

    key: Key
    field: str | None
    revisions: list[Revision]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        revisions = [one.document() for one in self.revisions]
        return {**self.key._asdict(), "field": self.field, "revisions": revisions}


def application(managed_by: str | None) -> str:
    """Return the mark of who applies; as PostgreSQL keeps it."""
    name = APPLIED if managed_by is None else f"{APPLIED} {managed_by}"
    kept = name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return "".join(one if " " <= one <= "~" else "?" * len(one.encode()) for one in kept)[
        :_LONGEST_NAME
    ]


class _Version(NamedTuple):
    revision: int
    is_applied: bool
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def find_drift(connection: Any, changes: Sequence[Planned], managed_by: str | None) -> list[Drift]:
    """
    Return what of a plan's changes is because others have changed something.

    In the current transaction. As far as the log reaches back, or `MAX_VERSIONS`.
    """
    found = [
        (key, name, numbers)
        for start in range(0, len(changes), _KEYS_AT_ONCE)
        for key, name, numbers in _drifted(
            connection, changes[start : start + _KEYS_AT_ONCE], managed_by
        )
    ]
    revisions = find_revisions(connection, {number for *_, some in found for number in some})
    return [
        Drift(key, name, [revisions[n] for n in some if n in revisions])
        for key, name, some in found
    ]


def _drifted(
    connection: Any, changes: Sequence[Planned], managed_by: str | None
) -> Iterator[tuple[Key, str | None, list[int]]]:
    versions = _read_versions(connection, [one.key for one in changes], managed_by)
    for change in changes:
        since, was_applied = _since_applied(versions[change.key])
        if change.action == "update":
            for field in change.fields:
                if numbers := _setters(change.key, field, since, was_applied):
                    yield change.key, field.name, numbers
        elif since and _is_theirs(change, since[0], was_applied, managed_by):
            yield change.key, None, [since[0].revision]


def _since_applied(versions: Sequence[_Version]) -> tuple[list[_Version], bool]:
    """Return the versions since the last mark, newest first, and whether there is one."""
    for number, version in enumerate(versions):
        if version.is_applied:
            return list(versions[:number]), True
    return list(versions), False


def _setters(
    key: Key, field: FieldChange, since: Sequence[_Version], was_applied: bool
) -> list[int]:
    """Return who has set a field since it was as it is wanted, newest first."""
    numbers = []
    for version in since:
        before, after = (_value(key, field.name, row) for row in (version.before, version.after))
        if version.before is None or not differ(before, after):
            continue
        numbers.append(version.revision)
        if not was_applied and not differ(before, _wanted(key, field)):
            return numbers
    return numbers if was_applied else []


def _is_theirs(change: Planned, last: _Version, was_applied: bool, managed_by: str | None) -> bool:
    """Whether others have deleted what is to be made again, or made what is to go."""
    if change.action == "delete":
        return not was_applied
    gone = last.before if last.after is None else None
    return gone is not None and (
        was_applied or (managed_by is not None and gone.get("managed_by") == managed_by)
    )


def _value(key: Key, name: str, row: Row | None) -> Any:
    if row is None:
        return None
    if key.kind == "secret" and name == "value":
        return row.get("fingerprint")
    return row.get(name) if name in ("labels", "managed_by") else plain_fields(key, row).get(name)


def _wanted(key: Key, field: FieldChange) -> Any:
    if key.kind == "secret" and field.name == "value":
        return f"sha256:{sha256(str(field.after).encode()).hexdigest()}"
    return field.after


def _read_versions(
    connection: Any, keys: Sequence[Key], managed_by: str | None
) -> dict[Key, list[_Version]]:
    versions: dict[Key, list[_Version]] = {key: [] for key in keys}
    mark = application(managed_by)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.entity, w.entity_id, c.revision, coalesce(r.application = %(mark)s, false),"
            " c.before::text, c.after::text"
            " FROM unnest(%(kinds)s::text[], %(ids)s::text[]) AS w (entity, entity_id)"
            " CROSS JOIN LATERAL (SELECT * FROM fengling.revision_change AS c"
            " WHERE c.entity = w.entity AND c.entity_id = w.entity_id"
            " ORDER BY c.revision DESC LIMIT %(limit)s) AS c"
            " LEFT JOIN fengling.revision AS r ON r.id = c.revision"
            " ORDER BY w.entity, w.entity_id, c.revision DESC",
            {
                "mark": mark,
                "kinds": [key.kind for key in keys],
                "ids": [key.id for key in keys],
                "limit": MAX_VERSIONS,
            },
        )
        for kind, entity_id, revision, is_applied, before, after in cursor:
            key = Key(kind, entity_id)
            images = (None if text is None else values_of(key, text) for text in (before, after))
            versions[key].append(_Version(revision, is_applied, *images))
    return versions
