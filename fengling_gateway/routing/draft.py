"""Maps under construction that share what they do not change with the map they came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from fengling_gateway.routing.sharding import AnyDict, put

K = TypeVar("K")
V = TypeVar("V")


class DraftMap(Generic[K, V]):
    """A map to be: reads fall through to the map it starts from, the first write copies that."""

    __slots__ = ("_items", "_own")

    def __init__(self, items: AnyDict[K, V]) -> None:
        self._items = items
        self._own = False

    def get(self, key: K) -> V | None:
        return self._items.get(key)

    def set(self, key: K, value: V | None) -> None:
        """Write a value; None removes the key, if there."""
        if value is None and self._items.get(key) is None:
            return
        if not self._own:
            self._items = self._items.copy()
            self._own = True
        if value is None:
            del self._items[key]
        else:
            self._items = put(self._items, key, value)

    def frozen(self) -> AnyDict[K, V]:
        """Return the finished map; the draft must not be written to any more."""
        return self._items

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


Ids = str | AnyDict[str, bool]
"""One id, or several. Most services have one route, and a dict for it costs 232 bytes."""


class DependentsDraft:
    """A map to be of service ids to the ids of the routes that depend on them."""

    __slots__ = ("_map", "_own")

    def __init__(self, items: AnyDict[str, Ids]) -> None:
        self._map: DraftMap[str, Ids] = DraftMap(items)
        self._own: set[str] = set()

    def add(self, service_id: str, route_id: str) -> None:
        ids = self._map.get(service_id)
        if ids is None or ids == route_id:
            self._map.set(service_id, route_id)
        else:
            self._map.set(service_id, put(self._owned(service_id, ids), route_id, True))

    def remove(self, service_id: str, route_id: str) -> None:
        ids = self._map.get(service_id)
        if ids is None or ids == route_id:
            self._map.set(service_id, None)
            return
        owned = self._owned(service_id, ids)
        if owned.get(route_id):
            del owned[route_id]
        self._map.set(service_id, owned)

    def of(self, service_id: str) -> list[str]:
        """Return the ids of the routes that depend on a service."""
        ids = self._map.get(service_id)
        if ids is None:
            return []
        return [ids] if isinstance(ids, str) else list(ids)

    def frozen(self) -> AnyDict[str, Ids]:
        """Return the finished map; the draft must not be written to any more."""
        return self._map.frozen()

    def _owned(self, service_id: str, ids: Ids) -> AnyDict[str, bool]:
        if service_id in self._own and not isinstance(ids, str):
            return ids
        self._own.add(service_id)
        return {ids: True} if isinstance(ids, str) else ids.copy()
