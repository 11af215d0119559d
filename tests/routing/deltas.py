"""A configuration as a dict, the deltas between two of them, and what a snapshot of it serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from fengling_gateway.http.transforms import HeaderEdits
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.entity import Key, add_hash, canonical, entity_hash
from fengling_gateway.routing.plan import ForwardPlan, RedirectPlan, RespondPlan
from fengling_gateway.routing.snapshot import CompileContext, Snapshot
from tests.routing.builders import Body, Request

Bodies = Mapping[Key, Body]

ROUTES = [f"r{number}" for number in range(6)]
TENANTS = ["t1", "t2"]


def make_context(seed: int = 1) -> CompileContext:
    return CompileContext(rng=Random(seed))


def change(kind: str, body: Body, entity_id: str | None = None) -> Change:
    return Change(Key(kind, entity_id or body["id"]), canonical(body))


def content_hash(bodies: Mapping[Key, bytes]) -> int:
    total = 0
    for key, body in bodies.items():
        total = add_hash(total, entity_hash(key, body))
    return total


def all_bodies(snapshot: Snapshot) -> dict[Key, bytes]:
    return {
        Key(kind, entity_id): body
        for kind, bodies in snapshot.bodies.items()
        for entity_id, body in bodies.items()
    }


def make_delta(snapshot: Snapshot, *changes: Change, full: bool = False) -> Delta:
    """The delta that leads from a snapshot to what it is after these changes."""
    bodies = {} if full else all_bodies(snapshot)
    for key, body in changes:
        if body is None:
            bodies.pop(key, None)
        else:
            bodies[key] = body
    revision = 1 if snapshot.position is None else snapshot.position.revision + 1
    return Delta(
        before=None if full else snapshot.position or Position("epoch", 0, "t"),
        after=Position("epoch", revision, "t"),
        hash_before=snapshot.content_hash,
        hash_after=content_hash(bodies),
        changes=changes,
    )


def cold(snapshot: Snapshot, seed: int = 2) -> Snapshot:
    """The same configuration, compiled from nothing in some other order."""
    changes = [Change(key, body) for key, body in all_bodies(snapshot).items()]
    Random(seed).shuffle(changes)
    delta = make_delta(Snapshot.empty(), *changes, full=True)
    context = make_context(seed)
    context.overrides = snapshot.overrides
    return Snapshot.empty().apply(delta, context)


def served(snapshot: Snapshot, requests: Iterable[Request] = ()) -> dict[str, Any]:
    """Everything about a snapshot that a request could notice."""
    return {
        "content_hash": snapshot.content_hash,
        "settings": snapshot.live,
        "routes": {route.id: plan_values(route.plan) for route in snapshot.routes},
        "services": {
            service_id: service_values(snapshot, service_id) for service_id in snapshot.services
        },
        "matches": [matched(snapshot, request) for request in requests],
        "dependents": {
            service_id: sorted([ids] if isinstance(ids, str) else ids)
            for service_id, ids in snapshot.dependents.items()
        },
    }


def matched(snapshot: Snapshot, request: Request) -> tuple[str | None, str | None]:
    tenant = snapshot.tenants.resolve(request.host, request.path)
    route = snapshot.routes.match(request, tenant, 150.0)
    return tenant, route and route.id


def service_values(snapshot: Snapshot, service_id: str) -> dict[str, Any]:
    service = snapshot.services.get(service_id)
    assert service is not None
    return {
        "own": [
            getattr(service, name)
            for name in ("id", "enabled", "balancing", "host_header", "tenant_spill", "ejection")
        ],
        "timeouts": (service.connect_timeout, service.first_byte_timeout, service.idle_timeout),
        "instances": [state.instance for state in service.states],
        "candidates": {
            tenant: [state.id for state in service.candidates(tenant)]
            for tenant in [None, *TENANTS]
        },
    }


def plan_values(plan: object) -> Any:
    """A plan as plain values."""
    if isinstance(plan, HeaderEdits):
        return (plan.drop, plan.pairs)
    if isinstance(plan, RedirectPlan):
        location = plan.location.fill(b"h", b"/p", b"q")
        edits = plan_values(plan.response_headers)
        return ("redirect", plan.guards, plan.status, location, edits)
    if isinstance(plan, RespondPlan):
        edits = plan_values(plan.response_headers)
        return ("respond", plan.guards, plan.status, plan.headers, plan.body, edits)
    assert isinstance(plan, ForwardPlan)
    values = {name: getattr(plan, name) for name in ForwardPlan.__slots__}
    values["split"] = plan.split and plan.split.weights
    values["rewrite_path"] = repr(plan.rewrite_path)
    values["request_headers"] = plan_values(plan.request_headers)
    values["response_headers"] = plan_values(plan.response_headers)
    if plan.branches is not None:
        values["branches"] = {name: plan_values(branch) for name, branch in plan.branches.items()}
    return values
