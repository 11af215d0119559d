"""Pages of what is served, in the order of ids."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fengling_gateway.model.entity import Key

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

KINDS: Final = {
    "routes": "route",
    "services": "service",
    "instances": "instance",
    "tenants": "tenant",
    "settings": "setting",
}
"""The lists by their name in a path."""


@dataclass(frozen=True, slots=True)
class Page:
    """``next`` is the id to continue after; None on the last page."""

    items: list[Any]
    next: str | None


def page(bodies: Mapping[Key, bytes], kind: str, *, after: str, limit: int) -> Page:
    """Return what follows the id ``after``; one pass over the keys, no sorting of them all."""
    keys = heapq.nsmallest(
        limit + 1, (key for key in bodies if key.kind == kind and key.id > after)
    )
    following = keys[limit - 1].id if len(keys) > limit else None
    return Page([shown(bodies, key) for key in keys[:limit]], following)


def shown(bodies: Mapping[Key, bytes], key: Key) -> Any:
    """Return one entity as it is served; an instance with its health."""
    entity = json.loads(bodies[key])
    if key.kind == "instance":
        health = bodies.get(Key("instance_health", key.id))
        fields = json.loads(health) if health else {"health": "unknown", "reason": None}
        entity["health"] = {name: fields.get(name) for name in ("health", "reason")}
    return entity
