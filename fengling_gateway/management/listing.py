"""Pages of what is served, in the order of ids."""

from __future__ import annotations

import heapq
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fengling_gateway.auth.sealing import sealed_with
from fengling_gateway.model.clients import fingerprint
from fengling_gateway.model.entity import Key

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

KINDS: Final = {
    "routes": "route",
    "services": "service",
    "instances": "instance",
    "tenants": "tenant",
    "certificates": "certificate",
    "secrets": "secret",
    "issuers": "issuer",
    "clients": "client",
    "api_keys": "api_key",
    "settings": "setting",
}
"""The lists by their name in a path."""


@dataclass(frozen=True, slots=True)
class Page:
    """``next`` is the id to continue after; None on the last page."""

    items: list[Any]
    next: str | None


class Listing:
    """
    Makes pages.

    The ids of a kind are kept in order for as long as the same configuration is
    served. They are sorted for the second page of it only: the first one takes a
    pass over the keys, which is less than sorting them all, so that a
    configuration that changes between any two pages costs no more than that.
    """

    def __init__(self) -> None:
        self._looked_at: dict[str, int] = {}
        self._sorted: dict[str, tuple[int, list[str]]] = {}

    def page(
        self,
        bodies: Mapping[Key, bytes],
        kind: str,
        *,
        content_hash: int,
        after: str,
        limit: int,
    ) -> Page:
        """Return what follows the id ``after``; the hash is that of the bodies."""
        ids = self._following(bodies, kind, content_hash, after, limit + 1)
        following = ids[limit - 1] if len(ids) > limit else None
        return Page([shown(bodies, Key(kind, one)) for one in ids[:limit]], following)

    def _following(
        self, bodies: Mapping[Key, bytes], kind: str, content_hash: int, after: str, count: int
    ) -> list[str]:
        of_hash, ids = self._sorted.get(kind, (None, []))
        if of_hash != content_hash:
            self._sorted.pop(kind, None)
            if self._looked_at.get(kind) != content_hash:
                self._looked_at[kind] = content_hash
                return heapq.nsmallest(
                    count, (key.id for key in bodies if key.kind == kind and key.id > after)
                )
            ids = sorted(key.id for key in bodies if key.kind == kind)
            self._sorted[kind] = content_hash, ids
        start = bisect_right(ids, after)
        return ids[start : start + count]


def shown(bodies: Mapping[Key, bytes], key: Key) -> Any:
    """
    Return one entity as it is served; an instance with its health.

    A secret is without its value, and an API key without the digest that it is known by.
    """
    entity: dict[str, Any] = json.loads(bodies[key])
    if key.kind == "secret":
        return _secret(entity)
    if key.kind == "api_key":
        entity["fingerprint"] = fingerprint(entity.pop("digest"))
    if key.kind == "instance":
        health = bodies.get(Key("instance_health", key.id))
        fields = json.loads(health) if health else {"health": "unknown", "reason": None}
        entity["health"] = {name: fields.get(name) for name in ("health", "reason")}
    return entity


def _secret(entity: dict[str, Any]) -> dict[str, Any]:
    """Return where a secret is, or with which key it is encrypted, and nothing else of its value."""
    value = entity.pop("value")
    key = sealed_with(value)
    return entity | {"reference": value if key is None else None, "key": key}
