"""Everything that a worker serves by, at one position: immutable, swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from fengling_gateway.balancing.instance import Instance, InstanceState
from fengling_gateway.balancing.overrides import NO_OVERRIDES, Overrides
from fengling_gateway.balancing.service import Service
from fengling_gateway.model.delta import Delta, Position
from fengling_gateway.model.entity import KINDS
from fengling_gateway.routing.builder import SnapshotBuilder
from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.compiling import CompileContext, HashMismatch
from fengling_gateway.routing.draft import Ids
from fengling_gateway.routing.live_settings import LiveSettings, Network
from fengling_gateway.routing.plan import Policies
from fengling_gateway.routing.sharding import AnyDict
from fengling_gateway.routing.tenants import TenantIndex

__all__ = ["CompileContext", "HashMismatch", "Snapshot", "SnapshotBuilder"]


class Snapshot(NamedTuple):
    """
    The compiled configuration at one position.

    It shares with the snapshot before everything that the delta between them
    did not touch. The only mutable things in it are the states of instances and
    the places in turns, which belong to the worker and outlive snapshots; and what
    somebody switches off changes at once, in all snapshots that share it: the
    choices of services (`Service.settle`), and the plans of routes (`overriding`).

    Attributes:
        position: None only for the empty snapshot, which serves nothing.
        routes, services, tenants, live: what requests are served by. A service
            is looked up by id, as ``services.get(id)``.
        retired: states of instances that were in the snapshot before and are
            not in this one: their idle connections can be closed.
        bodies: canonical bodies by kind and id, for recompiling and for hashes.
        members: instances by service id, in the order of their ids.
        dependents: ids of routes by the id of a service that they name.
        overrides: what holds beside the configuration.
    """

    position: Position | None
    content_hash: int
    routes: RouteCache
    services: AnyDict[str, Service]
    tenants: TenantIndex
    live: LiveSettings
    retired: tuple[InstanceState, ...]
    bodies: Mapping[str, AnyDict[str, bytes]]
    members: AnyDict[str, tuple[Instance, ...]]
    dependents: AnyDict[str, Ids]
    overrides: Overrides = NO_OVERRIDES

    @classmethod
    def empty(cls) -> Snapshot:
        """Return what a worker has before its first configuration."""
        return _EMPTY

    @property
    def defaults(self) -> Policies:
        return self.live.defaults

    @property
    def trusted_proxies(self) -> tuple[Network, ...]:
        return self.live.trusted_proxies

    @property
    def identity_headers(self) -> Mapping[str, str]:
        return self.live.identity_headers

    def names(self, route_id: str, service_id: str) -> bool:
        """Whether a route may send to a service; either may be "": whether the other is known."""
        if not service_id:
            return self.routes.get(route_id) is not None
        routes = self.dependents.get(service_id)
        if not route_id:
            return routes is not None or self.services.get(service_id) is not None
        if routes is None or isinstance(routes, str):
            return routes == route_id
        return routes.get(route_id) is not None

    def service_of(self, state: InstanceState) -> Service | None:
        """Return the service that an instance belongs to, if it is still there."""
        return self.services.get(state.instance.service_id)

    def report_of(self, state: InstanceState) -> bytes | None:
        """Return what the health check last wrote of an instance."""
        return self.bodies["instance_health"].get(state.id)

    def apply(self, delta: Delta, context: CompileContext) -> Snapshot:
        """
        Return the snapshot that a delta leads to, in one go: for small deltas.

        Raises:
            HashMismatch: it does not start here, or has not led where it said.
        """
        builder = self.applying(delta, context)
        builder.add(delta.changes)
        return builder.finish()

    def applying(self, delta: Delta, context: CompileContext) -> SnapshotBuilder:
        """
        Return a builder for a delta whose changes come in parts.

        Those that ``delta.changes`` holds are not taken for any of them.

        Raises:
            HashMismatch: the delta does not start here.
        """
        return SnapshotBuilder(self, delta, context)

    def __repr__(self) -> str:
        return f"<Snapshot {self.position} routes={self.routes.size}>"


_EMPTY: Final = Snapshot(
    position=None,
    content_hash=0,
    routes=RouteCache.empty(),
    services={},
    tenants=TenantIndex.empty(),
    live=LiveSettings(),
    retired=(),
    bodies={kind: {} for kind in KINDS},
    members={},
    dependents={},
)
