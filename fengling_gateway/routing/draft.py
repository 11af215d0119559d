"""Maps under construction that share what they do not change with the map they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from fengling_gateway.balancing.instance import Instance, InstanceState
from fengling_gateway.balancing.service import Service
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
        self._map.set(service_id, owned if len(owned) else None)

    def frozen(self) -> AnyDict[str, Ids]:
        """Return the finished map; the draft must not be written to any more."""
        return self._map.frozen()

    def _owned(self, service_id: str, ids: Ids) -> AnyDict[str, bool]:
        if service_id in self._own and not isinstance(ids, str):
            return ids
        self._own.add(service_id)
        return {ids: True} if isinstance(ids, str) else ids.copy()


class MembersDraft:
    """A map to be of service ids to their instances, in the order of the instances' ids."""

    __slots__ = ("_map", "_touched")

    def __init__(self, items: AnyDict[str, tuple[Instance, ...]]) -> None:
        self._map: DraftMap[str, tuple[Instance, ...]] = DraftMap(items)
        self._touched: dict[str, dict[str, Instance]] = {}

    def of(self, service_id: str) -> tuple[Instance, ...]:
        """Return the instances of a service, as settled."""
        return self._map.get(service_id) or ()

    def add(self, instance: Instance) -> None:
        self._members(instance.service_id)[instance.id] = instance

    def remove(self, service_id: str, instance_id: str) -> None:
        self._members(service_id).pop(instance_id, None)

    def settle(self) -> Iterator[str]:
        """Yield the id of each service touched, with its instances in order from then on."""
        for service_id, members in self._touched.items():
            # Instances sort by their first field, which is the id.
            self._map.set(service_id, tuple(sorted(members.values())) or None)
            yield service_id

    def frozen(self) -> AnyDict[str, tuple[Instance, ...]]:
        """Return the finished map; the draft must not be written to any more."""
        return self._map.frozen()

    def _members(self, service_id: str) -> dict[str, Instance]:
        members = self._touched.get(service_id)
        if members is None:
            members = {instance.id: instance for instance in self.of(service_id)}
            self._touched[service_id] = members
        return members


class StatesDraft:
    """
    The states of the instances of all services that a build touches.

    A state is found by its instance's id in the service as it was. It is shared
    with the request path, so what becomes of it is only noted before `settle`.
    """

    __slots__ = ("_gone", "_moved", "_services", "_updates")

    def __init__(self, services: AnyDict[str, Service]) -> None:
        self._services = services
        self._moved: dict[str, InstanceState] = {}
        self._updates: list[tuple[InstanceState, Instance]] = []
        self._gone: dict[InstanceState, None] = {}

    def moved(self, instance_id: str, service_id: str) -> None:
        """Note that an instance leaves a service for another: its state goes with it."""
        service = self._services.get(service_id)
        for state in service.states if service is not None else ():
            if state.id == instance_id:
                self._moved[instance_id] = state

    def of(self, service_id: str, instances: Sequence[Instance]) -> tuple[InstanceState, ...]:
        """Return the states of the instances of a service, in their order."""
        service = self._services.get(service_id)
        known = {state.id: state for state in service.states} if service is not None else {}
        return tuple([self._state(instance, known) for instance in instances])

    def _state(self, instance: Instance, known: dict[str, InstanceState]) -> InstanceState:
        state = known.get(instance.id) or self._moved.get(instance.id)
        if state is None or not state.instance.has_address_of(instance):
            return InstanceState(instance)
        if state.instance is not instance:
            self._updates.append((state, instance))
        return state

    def replaced(self, was: Service | None, now: Service | None) -> None:
        """Note which states a service has lost."""
        if was is not None and (now is None or was.states != now.states):
            kept = set(now.states) if now is not None else set()
            self._gone.update((state, None) for state in was.states if state not in kept)

    def settle(self) -> tuple[InstanceState, ...]:
        """Bring the states up to date, in one turn; return those that are no longer in use."""
        for state, instance in self._updates:
            state.instance = instance
            self._gone.pop(state, None)
        for state in self._gone:
            state.retired = True
        return tuple(self._gone)
