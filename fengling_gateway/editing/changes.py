"""What separates a configuration that is wanted from the one that there is. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal

from fengling_gateway.editing.labels import Selector, has_labels
from fengling_gateway.editing.stored import as_stored, differ
from fengling_gateway.model.certificates import is_reference
from fengling_gateway.model.clients import fingerprint
from fengling_gateway.model.entity import KIND_INDEX, Key
from fengling_gateway.model.validation import KNOWN_FIELDS, Accepted, refs_of, validate
from fengling_gateway.routing.linter import Finding

Row = Mapping[str, Any]
Action = Literal["create", "update", "delete"]

SIGNS: Final = {"create": "+", "update": "~", "delete": "-"}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after; of something new or gone, None stands for the other side."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Planned:
    """
    One entity that has to change.

    ``values`` are the columns to write: all that something new has, in canonical form; of an
    update those that change, and in them what was written otherwise and means the same stays as
    it is. Empty for a delete.
    ``version`` is that of the row which is replaced or deleted.
    """

    key: Key
    action: Action
    fields: tuple[FieldChange, ...]
    values: dict[str, Any]
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Ownership:
    """
    Whose entities the files are.

    Attributes:
        managed_by: written to all of them; None leaves what is there.
        prune: delete what is ``managed_by`` this and not in the files.
        take_over: also change what is managed by somebody else.
        selector: only what has these labels, in the files or in the database.
    """

    managed_by: str | None = None
    prune: bool = False
    take_over: bool = False
    selector: Selector = field(default_factory=dict)


def selected(
    wanted: Mapping[Key, dict[str, Any]], current: Mapping[Key, Row], selector: Selector
) -> dict[Key, dict[str, Any]]:
    """Return what of the files is chosen, which includes what is no longer to have the labels."""
    return {
        key: row
        for key, row in wanted.items()
        if has_labels(row, selector) or has_labels(current.get(key), selector)
    }


def with_kept_values(
    wanted: Mapping[Key, dict[str, Any]], current: Mapping[Key, Row]
) -> dict[Key, dict[str, Any]]:
    """
    Return what is wanted, with present values where it has none or can have no other.

    The values of secrets, since an export has none of those that are encrypted; and when a
    management token was revoked, since that can't be taken back, also not by an older file.
    """
    return {key: _with_kept_value(key, row, current.get(key)) for key, row in wanted.items()}


def _with_kept_value(key: Key, row: dict[str, Any], present: Row | None) -> dict[str, Any]:
    if present is None:
        return row
    if key.kind == "secret" and "value" not in row:
        return {**row, "value": present.get("value")}
    if key.kind == "management_token" and present.get("revoked_at") is not None:
        return {**row, "revoked_at": present["revoked_at"]}
    return row


def shown_fields(change: Planned) -> tuple[FieldChange, ...]:
    """Return the fields that change as anybody may see them: secrets and digests are not."""
    name, show = _SHOWN_AS.get(change.key.kind, ("", _not_secret))
    return tuple(
        FieldChange(name, show(one.before), show(one.after)) if one.name == name else one
        for one in change.fields
    )


def _not_secret(value: Any) -> Any:
    """Return a reference, or that there is something else and how to tell it from another."""
    if value is None or is_reference(value):
        return value
    return f"(encrypted, {sha256(str(value).encode()).hexdigest()[:12]})"


def _no_digest(value: Any) -> Any:
    return None if value is None else f"({fingerprint(str(value))})"


_SHOWN_AS: Final = {"secret": ("value", _not_secret), "api_key": ("digest", _no_digest)}
"""By kind, the field that nobody is to see, and what is shown in its place."""


class TakenError(Exception):
    """Entities of somebody else would change."""


def plan(
    wanted: Mapping[Key, Row], current: Mapping[Key, Row], ownership: Ownership
) -> list[Planned]:
    """
    Return what to do, in the order of kinds and ids.

    Every wanted entity must be valid.

    Raises:
        TakenError: entities of somebody else would change.
    """
    changes = []
    foreign = []
    for key, row in wanted.items():
        change = _change(key, row, current.get(key), ownership)
        if change is None:
            continue
        owner = current.get(key, {}).get("managed_by")
        claimed = ownership.managed_by or row.get("managed_by")
        if owner and owner != claimed and not ownership.take_over:
            foreign.append(f"{key} (by {owner})")
        changes.append(change)
    if foreign:
        raise TakenError(f"managed by somebody else: {', '.join(foreign[:5])}")
    if ownership.prune:
        changes += [
            deletion(key, row)
            for key, row in current.items()
            if key not in wanted
            and row.get("managed_by") == ownership.managed_by
            and has_labels(row, ownership.selector)
        ]
    return sorted(changes, key=lambda change: (KIND_INDEX[change.key.kind], change.key.id))


def deletion(key: Key, row: Row) -> Planned:
    """Return what takes an entity away, in the version that it is."""
    return Planned(key, "delete", _fields(plain_fields(key, row), {}), {}, row.get("version"))


def bodies_after(bodies: Mapping[Key, bytes], changes: Iterable[Planned]) -> Mapping[Key, bytes]:
    """Return the configuration without what the changes delete."""
    deleted = {change.key for change in changes if change.action == "delete"}
    return {key: body for key, body in bodies.items() if key not in deleted}


def has_a_say(change: Planned) -> bool:
    """Whether a change may be one of who may ask a route; weights of a split, for one, are not."""
    if change.action != "update":
        return change.action == "create"
    fields = {one.name: one for one in change.fields}
    if "split" in fields:
        before, after = (set(one or ()) for one in (fields["split"].before, fields["split"].after))
        if before != after:
            return True
    return not fields.keys().isdisjoint(("policies", "enabled", "service_id", "value"))


def about(changes: Iterable[Planned], findings: Iterable[Finding]) -> list[Finding]:
    """
    Return the findings that the changes have to do with.

    A route that is written may be odd, or make another one so.
    """
    written = {change.key.id for change in changes if change.key.kind == "route"}
    return [one for one in findings if one.route in written or one.other in written]


def _change(key: Key, row: Row, before: Row | None, ownership: Ownership) -> Planned | None:
    values = plain_fields(key, row)
    if row.get("labels") is not None:
        values["labels"] = as_stored("labels", row["labels"])
    if "managed_by" in row:  # or it stays; None is nobody
        values["managed_by"] = row["managed_by"]
    if ownership.managed_by is not None:
        values["managed_by"] = ownership.managed_by
    if before is None:
        return Planned(key, "create", _fields({}, values), values)
    old = {**plain_fields(key, before), **{n: before.get(n) for n in ("labels", "managed_by")}}
    fields = _fields({name: old.get(name) for name in values}, values)
    if not fields:
        return None
    written = {one.name: _least(before.get(one.name), one.before, one.after) for one in fields}
    return Planned(key, "update", fields, written, before.get("version"))


def _least(stored: Any, before: Any, after: Any) -> Any:
    """
    Return what means `after` and differs as little as possible from what is stored.

    Else defaults that nobody wrote would be written out beside what changes, and the revision
    (and undo) would tell of changes that `diff` has not shown. `before` is what is stored, in
    canonical form.
    """
    if not differ(before, after):
        return stored
    if not (type(stored) is type(before) is type(after) is dict):
        return after
    return {
        name: _least(stored.get(name), before.get(name), value)
        for name, value in after.items()
        if name in stored or name not in before or differ(before[name], value)
    }


def references(
    changes: Iterable[Planned], bodies: Mapping[Key, bytes], current: Mapping[Key, Row]
) -> dict[Key, int]:
    """Return what the changes refer to and leave as it is, with its version."""
    changed = {change.key for change in changes}
    written = [change.key for change in changes if change.action != "delete"]
    wanted = {ref for key in written for ref in refs_of(key, bodies[key])} - changed
    return {key: current[key]["version"] for key in wanted if key in current}


def plain_fields(key: Key, row: Row) -> dict[str, Any]:
    """Return an entity's fields in canonical form, as a database keeps it; a rejected one's as they are."""
    verdict = validate(key, dict(row))
    if isinstance(verdict, Accepted):
        fields: dict[str, Any] = json.loads(verdict.body)
        known = KNOWN_FIELDS[key.kind]
        return {name: as_stored(name, value) for name, value in fields.items() if name in known}
    return {n: v for n, v in row.items() if n not in {"version", "created_at", "updated_at"}}


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    names = [*after, *(name for name in before if name not in after)]
    return tuple(
        FieldChange(name, before.get(name), after.get(name))
        for name in names
        if name not in {"id", "key"} and differ(before.get(name), after.get(name))
    )
