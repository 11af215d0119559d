"""
Images of rows as the log of changes has them: what of them is shown, and what differs. Pure.

An image is a whole row as JSON, of a secret with a fingerprint in place of its value. Columns
that have come with a migration since are missing in it, which counts as their default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from fengling_gateway.editing.changes import FieldChange
from fengling_gateway.editing.stored import DURATIONS, INSTANTS, differ
from fengling_gateway.model.clients import fingerprint
from fengling_gateway.model.entity import Key
from fengling_gateway.model.times import parse_duration, shortest
from fengling_gateway.model.validation import KNOWN_FIELDS, defaults_of

Image = Mapping[str, Any]

BOOKKEEPING: Final = frozenset(("version", "created_at", "updated_at"))
"""Columns that the database keeps, and nobody means to change."""

IDS: Final = frozenset(("id", "key", "instance_id"))


def shown_image(key: Key, image: Image | None) -> dict[str, Any] | None:
    """Return an image as anybody may see it, and as people write it; None for none."""
    if image is None:
        return None
    names = [name for name in KNOWN_FIELDS.get(key.kind, ()) if name in image]
    names += [name for name in image if name not in names]
    return dict(
        _shown(key.kind, name, image[name])
        for name in names
        if name not in BOOKKEEPING and name not in IDS
    )


def fields_between(key: Key, before: Image | None, after: Image | None) -> tuple[FieldChange, ...]:
    """
    Return what differs between two images, as anybody may see it.

    Of what is made or gone, the fields that are not as by default.
    """
    old, new = shown_image(key, before), shown_image(key, after)
    usual = _usual(key.kind)
    if old is None or new is None:
        there = old or new or {}
        return tuple(
            FieldChange(name, None if old is None else value, None if new is None else value)
            for name, value in there.items()
            if not _is_usual(usual, name, value)
        )
    return tuple(
        FieldChange(name, old.get(name, usual.get(name)), new.get(name, usual.get(name)))
        for name in {**new, **old}
        if _differ(usual, name, old, new)
    )


def parts(field: FieldChange) -> Iterator[FieldChange]:
    """
    Yield what differs within a field of two mappings, each part named like ``policies.retry``.

    What is null there is told from what is not there, and is the text "null".
    """
    before, after = field.before, field.after
    if not (type(before) is dict and type(after) is dict):
        yield field
        return
    for name in {**before, **after}:
        if name not in before or name not in after or differ(before[name], after[name]):
            yield FieldChange(f"{field.name}.{name}", _part(before, name), _part(after, name))


def _part(whole: Image, name: str) -> Any:
    return "null" if name in whole and whole[name] is None else whole.get(name)


def without_bookkeeping(image: Image) -> dict[str, Any]:
    """Return what of a row somebody has written."""
    return {name: value for name, value in image.items() if name not in BOOKKEEPING}


def _differ(usual: Image, name: str, old: Image, new: Image) -> bool:
    if name in old and name in new:
        return differ(old[name], new[name])
    return not _is_usual(usual, name, old[name] if name in old else new[name])


def is_usual(kind: str, name: str, value: Any) -> bool:
    """Whether a field of a kind holds, as people write it, what it does when nothing is said."""
    return _is_usual(_usual(kind), name, value)


def _is_usual(usual: Image, name: str, value: Any) -> bool:
    return value in (None, "", [], {}) or (name in usual and not differ(usual[name], value))


@cache
def _usual(kind: str) -> dict[str, Any]:
    """Return the defaults of a kind, as they are shown."""
    return dict(_shown(kind, name, value) for name, value in defaults_of(kind).items())


def _shown(kind: str, name: str, value: Any) -> tuple[str, Any]:
    if kind == "secret" and name == "fingerprint":
        return "value", f"({fingerprint(str(value).removeprefix('sha256:'))})"
    if kind == "secret" and name == "value":
        return name, "(hidden)"  # (the log has none)
    if kind == "api_key" and name == "digest" and value is not None:
        return name, f"({fingerprint(str(value))})"
    return name, as_people_write(name, value)


def as_people_write(name: str, value: Any) -> Any:
    """Return what a column holds, of a row or of a plan, as files have it."""
    if name in DURATIONS:
        return _duration(value)
    return _instant(value) if name in INSTANTS else value


def _duration(value: Any) -> Any:
    seconds = parse_duration(value) if type(value) is str else value
    return shortest(seconds) if type(seconds) is float else value


def _instant(value: Any) -> Any:
    """Return a point in time as people write it; as it is where it is none."""
    try:
        if type(value) is float:
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = datetime.fromisoformat(value).astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    except (TypeError, ValueError, OverflowError):
        return value
