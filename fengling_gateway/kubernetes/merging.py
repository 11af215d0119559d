"""
What the cluster wants, brought together with what people have changed meanwhile. Pure.

Of an entity that follows the cluster, the cluster's word counts for the fields
that it names, from the moment on when it says something new of them. What it
has said before, and somebody has changed since, is that somebody's: so an
instance that an operator drains stays drained while its pod is ready, until
the cluster itself says that it is anything else. Fields that the cluster never
names are never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.editing.changes import Ownership as Owner
from fengling_gateway.editing.changes import Planned, Row, deletion, plain_fields, plan
from fengling_gateway.editing.stored import differ
from fengling_gateway.model.entity import Key

MANAGED_BY: Final = "kubernetes"

_OWNER: Final = Owner(managed_by=MANAGED_BY)
_ALWAYS: Final = frozenset(("id", "labels", "managed_by"))

_THE_CLUSTERS: Final = {
    "instance": frozenset(("service_id", "address", "zone")),
    "route": frozenset(("service_id", "split", "redirect", "respond")),
    "service": frozenset[str](),
}
"""
Fields that nobody else can know: who goes back to an older revision must not send requests to
addresses that are somebody else's by now.
"""


class Merged(NamedTuple):
    """
    Attributes:
        change: what is to be written; None: nothing.
        said: what the cluster has said then; None: nothing any more.
        left_to: who manages the entity in place of the cluster, so that nothing is written.
    """

    change: Planned | None
    said: dict[str, Any] | None
    left_to: str | None


def merge(
    key: Key, wanted: Row | None, current: Row | None, said: Mapping[str, Any] | None
) -> Merged:
    """
    Return what follows for one entity.

    Args:
        wanted: the fields that the cluster names; None: it is to be gone.
        current: as it is in the database; None: it is not there.
        said: what the cluster said of it last; None: nothing.
    """
    left_to = None if current is None else _other_manager(current)
    if wanted is None:
        if current is None or left_to is not None:
            return Merged(None, None, None)
        return Merged(deletion(key, current), None, None)
    now = named(key, wanted)
    if current is None:
        return Merged(_planned(key, wanted, None), now, None)
    if left_to is not None:
        return Merged(None, None, left_to)
    return Merged(_planned(key, _fields(key, now, current, said or {}), current), now, None)


def named(key: Key, wanted: Row) -> dict[str, Any]:
    """Return the fields that the cluster names, in canonical form."""
    plain = plain_fields(key, wanted)
    return {name: plain.get(name) for name in wanted if name not in _ALWAYS}


def _other_manager(current: Row) -> str | None:
    """Return who manages an entity, where it is not the cluster."""
    manager = current.get("managed_by")
    return None if manager == MANAGED_BY else str(manager or "nobody")


def _fields(
    key: Key, now: Mapping[str, Any], current: Row, said: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields that are to be written over those that there are."""
    there = plain_fields(key, current)
    usual = plain_fields(key, now) if said.keys() - now.keys() else {}
    fields = {}
    theirs = _THE_CLUSTERS[key.kind]
    for name in {**said, **now}:
        wish = now.get(name, usual.get(name))
        if name in theirs:
            fields[name] = wish
        else:
            fields[name] = merged_value(
                said.get(name), wish, there.get(name), is_new=name not in said
            )
    return fields


def merged_value(before: Any, now: Any, current: Any, *, is_new: bool = False) -> Any:
    """
    Return what becomes of one value; objects go key by key.

    Args:
        before, now: what the cluster said, and says.
        is_new: whether it said nothing of this before.
    """
    if type(now) is dict and type(current) is dict:
        old = before if type(before) is dict else {}
        return _merged_object(old, now, current)
    if is_new or differ(before, now):
        return now
    return current


def _merged_object(
    before: Mapping[str, Any], now: Mapping[str, Any], current: Mapping[str, Any]
) -> dict[str, Any]:
    merged = {name: value for name, value in current.items() if name not in before or name in now}
    for name, value in now.items():
        if name not in before or differ(before[name], value):
            merged[name] = merged_value(
                before.get(name), value, current.get(name), is_new=name not in before
            )
    return merged


def _planned(key: Key, fields: Mapping[str, Any], current: Row | None) -> Planned | None:
    there = {} if current is None else {key: current}
    changes = plan({key: {**(current or {}), **fields}}, there, _OWNER)
    return changes[0] if changes else None
