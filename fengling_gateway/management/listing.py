"""Pages of what is served, in the order of ids."""

from __future__ import annotations

import heapq
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fengling_gateway.access.tenancy import OF_TENANTS, is_visible
from fengling_gateway.auth.sealing import sealed_with
from fengling_gateway.model.clients import fingerprint
from fengling_gateway.model.entity import Key
from fengling_gateway.model.who_may_ask import WhoMayAsk

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
    "tokens": "management_token",
}
"""The lists by their name in a path."""


_LOOKED_AT_ONCE: Final = 1000
"""Entities in a few milliseconds."""

Refusal = Callable[[str], str | None]
"""Says why nothing is sent to an instance at an address; None where this is allowed."""


def nobody_refuses(_: str) -> None:
    """Stand for not knowing the settings of any host."""


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

    def __init__(self, refusal: Refusal = nobody_refuses) -> None:
        self._refusal = refusal
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
        return Page(
            [shown(bodies, Key(kind, one), self._refusal) for one in ids[:limit]], following
        )

    def page_of_tenants(
        self,
        bodies: Callable[[], Mapping[Key, bytes]],
        kind: str,
        *,
        content_hash: int,
        tenants: frozenset[str],
        after: str,
        limit: int,
    ) -> Iterator[Page | None]:
        """
        Look for what is of these tenants; the last that comes is the page.

        Each None before it is a place where others may take their turn. ``bodies``
        are asked for again after it: they may have changed.
        """
        found: list[Any] = []
        if kind in OF_TENANTS:
            ids = self._in_order(bodies(), kind, content_hash)
            first = bisect_right(ids, after)
            for start in range(first, len(ids), _LOOKED_AT_ONCE):
                if start > first:
                    yield None
                now = bodies()
                for one in ids[start : start + _LOOKED_AT_ONCE]:
                    key = Key(kind, one)
                    if key not in now or not is_visible(now, key, tenants):
                        continue
                    if len(found) == limit:
                        yield Page([entity for _, entity in found], found[-1][0])
                        return
                    found.append((one, shown(now, key, self._refusal)))
        yield Page([entity for _, entity in found], None)

    def _in_order(self, bodies: Mapping[Key, bytes], kind: str, content_hash: int) -> list[str]:
        """Return the ids of a kind, sorted once for each configuration."""
        of_hash, ids = self._sorted.get(kind, (None, []))
        if of_hash != content_hash:
            ids = sorted(key.id for key in bodies if key.kind == kind)
            self._sorted[kind] = content_hash, ids
        return ids

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
            ids = self._in_order(bodies, kind, content_hash)
        start = bisect_right(ids, after)
        return ids[start : start + count]


def shown(bodies: Mapping[Key, bytes], key: Key, refusal: Refusal = nobody_refuses) -> Any:
    """
    Return one entity as it is served; an instance with its health, and why it is sent nothing.

    A route is with what the configuration as a whole makes of it: public, optional or required.

    A secret is without its value, and an API key without the digest that it is known by.
    """
    entity: dict[str, Any] = json.loads(bodies[key])
    if key.kind == "secret":
        return _secret(entity)
    if key.kind == "api_key":
        entity["fingerprint"] = fingerprint(entity.pop("digest"))
    if key.kind == "route":
        entity["access"] = WhoMayAsk(bodies).openness(entity)
    if key.kind == "instance":
        health = bodies.get(Key("instance_health", key.id))
        fields = json.loads(health) if health else {"health": "unknown", "reason": None}
        entity["health"] = {name: fields.get(name) for name in ("health", "reason")}
        entity["refused"] = refusal(entity["address"])
    return entity


def _secret(entity: dict[str, Any]) -> dict[str, Any]:
    """Return where a secret is, or with which key it is encrypted, and nothing else of its value."""
    value = entity.pop("value")
    key = sealed_with(value)
    return entity | {"reference": value if key is None else None, "key": key}
