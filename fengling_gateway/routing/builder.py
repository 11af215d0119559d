"""Building the next snapshot from the one before and a delta.

Changes arrive in any order: a route before its service, a health report before
its instance. So a build has two halves. `SnapshotBuilder.add` only notes new
bodies; when all are there, `SnapshotBuilder.step` compiles what they touch, a
slice at a time, in the order in which things depend on one another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fengling_gateway.balancing.ejection_policy import compile_ejection
from fengling_gateway.balancing.instance import Instance, compile_instance
from fengling_gateway.balancing.service import Service, compile_service
from fengling_gateway.model.delta import Change, Delta
from fengling_gateway.model.entity import KINDS, Key, add_hash, entity_hash, subtract_hash
from fengling_gateway.routing.compiling import CompileContext, HashMismatch
from fengling_gateway.routing.draft import DependentsDraft, DraftMap, MembersDraft, StatesDraft
from fengling_gateway.routing.live_settings import LiveSettings, compile_live_settings
from fengling_gateway.routing.overriding import switched_off
from fengling_gateway.routing.plan import (
    DEFAULT_POLICIES,
    NO_POLICIES,
    ForwardPlan,
    PlanCompiler,
    Policies,
)
from fengling_gateway.routing.route import Route, compile_route
from fengling_gateway.routing.tenants import Tenant, compile_tenant

if TYPE_CHECKING:
    from fengling_gateway.routing.snapshot import Snapshot

T = TypeVar("T")

STEP_OBJECTS: Final = 64
"""Objects compiled in a step: 2 to 4 ms, less than half of what a reactor turn may take."""

_UNSAID: Final = object()

_LOOKS_PER_OBJECT: Final = 256
"""How many look-ups take as long as compiling one object."""


class SnapshotBuilder:
    """
    The snapshot that a delta leads to, in the making.

    Nothing is visible before `finish`, which swaps what is shared with the
    request path (the states of instances) in the same breath: hand its result to
    the data plane in the same reactor turn.
    """

    def __init__(self, base: Snapshot, delta: Delta, context: CompileContext) -> None:
        if not delta.is_full and delta.hash_before != base.content_hash:
            raise HashMismatch("starts from another configuration than the one served here")
        self._base = base
        self._delta = delta
        self._context = context
        self._content_hash = 0 if delta.is_full else base.content_hash
        self._bodies = {kind: DraftMap(base.bodies[kind]) for kind in KINDS}
        self._dirty: dict[str, dict[str, bytes | None]] = {kind: {} for kind in KINDS}
        self._seen: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self._live = base.live
        self._tenants = base.tenants
        self._members = MembersDraft(base.members)
        self._services = DraftMap(base.services)
        self._dependents = DependentsDraft(base.dependents)
        self._routes = base.routes.builder()
        self._states = StatesDraft(base.services)
        self._policies: dict[str, Policies] = {}
        self._work: Iterator[None] | None = None

    def add(self, changes: Iterable[Change]) -> None:
        """Note some of the delta's changes."""
        for key, body in changes:
            if self._delta.is_full:
                self._seen[key.kind].add(key.id)
            self._note(key, body)

    def step(self, limit: int = STEP_OBJECTS) -> bool:
        """Compile at most `limit` objects; return whether there is more to do."""
        if self._work is None:
            self._work = self._compile()
        return sum(1 for _ in islice(self._work, limit)) == limit

    def finish(self) -> Snapshot:
        """
        Do what is left to do and return the snapshot.

        Raises:
            HashMismatch: the delta has not led where it said; nothing has changed.
        """
        while self.step():
            pass
        if self._content_hash != self._delta.hash_after:
            raise HashMismatch("has not led to the configuration that it announced")
        return self._base._replace(
            position=self._delta.after,
            content_hash=self._content_hash,
            live=self._live,
            tenants=self._tenants,
            members=self._members.frozen(),
            services=self._services.frozen(),
            dependents=self._dependents.frozen(),
            routes=self._routes.freeze(),
            bodies={kind: draft.frozen() for kind, draft in self._bodies.items()},
            overrides=self._context.overrides,
            retired=self._states.settle(),
        )

    def _note(self, key: Key, body: bytes | None) -> None:
        kind, entity_id = key
        bodies = self._bodies[kind]
        before = bodies.get(entity_id)
        if before is not None and not self._delta.is_full:
            self._content_hash = subtract_hash(self._content_hash, entity_hash(key, before))
        if body is not None:
            self._content_hash = add_hash(self._content_hash, entity_hash(key, body))
        if body != before:
            bodies.set(entity_id, body)
            self._dirty[kind].setdefault(entity_id, before)

    def _compile(self) -> Iterator[None]:
        """Compile everything touched; each turn of the iterator is about one object's work."""
        if self._delta.is_full:
            yield from self._drop_unseen()
        live = self._live
        if self._dirty["setting"]:
            for key in self._dirty["setting"]:
                self._context.failed.pop(Key("setting", key), None)
            self._live = compile_live_settings(self._bodies["setting"].get, self._context.compile)
            yield
        yield from self._compile_tenants()
        services = dict.fromkeys(self._dirty["service"])
        if self._live.defaults.get("ejection", _UNSAID) != live.defaults.get("ejection", _UNSAID):
            services = dict.fromkeys(chain(services, self._bodies["service"]))
        yield from self._compile_instances(services)
        changed: list[str] = []
        yield from self._compile_services(services, changed)
        if self._plans_as(live):
            yield from self._compile_routes(self._touched_routes(changed))
        else:
            yield from self._compile_routes(chain(self._dirty["route"], self._bodies["route"]))

    def _plans_as(self, live: LiveSettings) -> bool:
        """Whether the settings make the same of a route as others do."""
        now = self._live
        return now.defaults == live.defaults and now.identity_headers == live.identity_headers

    def _drop_unseen(self) -> Iterator[None]:
        for kind in KINDS:
            seen = self._seen[kind]
            for count, entity_id in enumerate(self._base.bodies[kind]):
                if entity_id not in seen:
                    self._note(Key(kind, entity_id), None)
                    yield
                elif not count % _LOOKS_PER_OBJECT:
                    yield

    def _compile_tenants(self) -> Iterator[None]:
        changes: list[tuple[str, Tenant | None]] = []
        for tenant_id in self._dirty["tenant"]:
            changes.append((tenant_id, self._compiled("tenant", tenant_id, compile_tenant)))
            if len(changes) == STEP_OBJECTS:
                self._tenants = self._tenants.apply(changes)
                changes = []
            yield
        if changes:
            self._tenants = self._tenants.apply(changes)

    def _compile_instances(self, services: dict[str, None]) -> Iterator[None]:
        """Bring the members of services up to date, and add the services touched to `services`."""
        for instance_id, was in self._touched_instances():
            home = _field(was, "service_id")
            if home is not None:
                self._members.remove(home, instance_id)
            instance = self._compiled("instance", instance_id, self._instance)
            self._note_refusal(instance_id, instance)
            if instance is not None:
                self._members.add(instance)
                if home is not None and home != instance.service_id:
                    self._states.moved(instance_id, home)
            yield
        for service_id in self._members.settle():
            services[service_id] = None
            yield

    def _touched_instances(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the id and the former body of instances that changed, or a report about them."""
        instances = self._dirty["instance"]
        yield from instances.items()
        for instance_id in self._dirty["instance_health"]:
            if instance_id not in instances:
                yield instance_id, self._bodies["instance"].get(instance_id)

    def _instance(self, body: dict[str, Any]) -> Instance:
        report = self._bodies["instance_health"].get(body["id"])
        health = json.loads(report)["health"] if report else "unknown"
        return compile_instance(body, health, self._context.networks)

    def _note_refusal(self, instance_id: str, instance: Instance | None) -> None:
        refused = self._context.refused
        if instance is not None and instance.refused is not None:
            refused[instance_id] = instance.refused
        elif refused:
            refused.pop(instance_id, None)

    def _compile_services(self, services: dict[str, None], changed: list[str]) -> Iterator[None]:
        """Compile services, and add those whose policies are others now to `changed`."""
        for service_id in services:
            was = self._services.get(service_id)
            now = self._compiled("service", service_id, self._service)
            self._services.set(service_id, now)
            self._states.replaced(was, now)
            if self._policies_changed(service_id):
                changed.append(service_id)
            yield

    def _service(self, body: dict[str, Any]) -> Service:
        service_id: str = body["id"]
        members = self._members.of(service_id)
        previous = self._services.get(service_id)
        states = self._states.of(service_id, members)
        context = self._context
        policies = {**DEFAULT_POLICIES, **self._live.defaults, **body["policies"]}
        return compile_service(
            body,
            members,
            states,
            context.rng,
            previous,
            ejection=compile_ejection(policies),
            overrides=context.overrides,
        )

    def _policies_changed(self, service_id: str) -> bool:
        if service_id not in self._dirty["service"]:
            return False
        was = _field(self._dirty["service"][service_id], "policies") or NO_POLICIES
        return bool(was != self._policies_of(service_id))

    def _policies_of(self, service_id: str) -> Policies:
        policies = self._policies.get(service_id)
        if policies is None:
            policies = _field(self._bodies["service"].get(service_id), "policies") or NO_POLICIES
            self._policies[service_id] = policies
        return policies

    def _touched_routes(self, changed: Iterable[str]) -> Iterator[str]:
        """Yield the ids of the routes to compile; some of them twice, perhaps."""
        yield from self._dirty["route"]
        # One that failed is in no index of dependents: it gets another try each time.
        yield from [key.id for key in self._context.failed if key.kind == "route"]
        for service_id in changed:
            ids = self._base.dependents.get(service_id) or ()
            yield from (ids,) if isinstance(ids, str) else ids

    def _compile_routes(self, route_ids: Iterable[str]) -> Iterator[None]:
        live = self._live
        plans = PlanCompiler(
            self._policies_of, live.defaults, self._context.rng, live.identity_names
        )

        def compile_body(body: dict[str, Any]) -> Route:
            was = self._base.routes.get(body["id"])
            plan = plans.compile(body, was and was.plan)
            if body["id"] in self._context.overrides.routes:
                plan = switched_off(plan)
            return compile_route(body, plan)

        done: set[str] = set()
        for route_id in route_ids:
            if route_id not in done:
                done.add(route_id)
                self._replace_route(route_id, self._compiled("route", route_id, compile_body))
                yield

    def _replace_route(self, route_id: str, now: Route | None) -> None:
        was = self._base.routes.get(route_id)
        before, after = _services_of(was), _services_of(now)
        if before != after:
            for service_id in before:
                self._dependents.remove(service_id, route_id)
            for service_id in after:
                self._dependents.add(service_id, route_id)
        if now is None:
            self._routes.remove(route_id)
        else:
            self._routes.add(now)

    def _compiled(
        self, kind: str, entity_id: str, compile_body: Callable[[dict[str, Any]], T]
    ) -> T | None:
        body = self._bodies[kind].get(entity_id)
        if body is None:
            self._context.failed.pop(Key(kind, entity_id), None)
            return None
        return self._context.compile(Key(kind, entity_id), lambda: compile_body(json.loads(body)))


def _field(body: bytes | None, name: str) -> Any:
    """Read one field of a body which may be absent, or one of those that do not compile."""
    try:
        return json.loads(body)[name] if body else None
    except (LookupError, TypeError, ValueError):
        return None


def _services_of(route: Route | None) -> tuple[str, ...]:
    plan = None if route is None else route.plan
    if not isinstance(plan, ForwardPlan):
        return ()
    return (plan.service_id,) if plan.branches is None else tuple(plan.branches)
