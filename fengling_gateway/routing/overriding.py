"""
What is switched off takes effect: at once in the snapshot that is served, and in all to come.

A route that is switched off keeps its place in the order of routes: what it takes goes nowhere
else. Its plan is one with guards that let nobody through, so that asking costs nothing where
nothing is switched off. `SnapshotBuilder` does the same with what it compiles.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import copy
from typing import TYPE_CHECKING

from fengling_gateway.balancing.overrides import Overrides
from fengling_gateway.routing.compiling import CompileContext
from fengling_gateway.routing.guards import SWITCHED_OFF
from fengling_gateway.routing.plan import NO_POLICIES, ForwardPlan, Plan, PlanCompiler, Policies
from fengling_gateway.routing.route import Route

if TYPE_CHECKING:
    from fengling_gateway.routing.snapshot import Snapshot


def switched_off(plan: Plan) -> Plan:
    """Return what a plan is while its route is switched off."""
    off = copy(plan)  # others may have the same plan
    off.guards = SWITCHED_OFF
    if isinstance(off, ForwardPlan) and off.branches is not None:
        # The guards of a split are those of its branches.
        off.branches = {}
        for service_id, branch in plan.branches.items():  # type: ignore[union-attr]
            off.branches[service_id] = copy(branch)
            off.branches[service_id].guards = SWITCHED_OFF
    return off


def is_switched_off(route: Route, overrides: Overrides) -> bool:
    return route.id in overrides.routes


def override(snapshot: Snapshot, overrides: Overrides, context: CompileContext) -> Snapshot:
    """
    Have `overrides` hold in place of those before, and return the snapshot that says so.

    In the same turn, which only what is said of health makes long: with 100,000
    instances, of which 1,000 are unhealthy, some 70 ms, once when probing ends and
    once when it begins again. It must not come between the steps of a build.
    """
    was, context.overrides = context.overrides, overrides
    _switch_routes(snapshot, was.routes ^ overrides.routes, context)
    touched = {_home(snapshot, one) for one in was.instances ^ overrides.instances}
    if was.health_is_stale != overrides.health_is_stale:
        touched.update(_services_with_unhealthy(snapshot))
    for service_id in touched:
        service = snapshot.services.get(service_id)
        if service is not None:
            service.settle(context.rng, overrides=overrides)
    return snapshot._replace(overrides=overrides, retired=())


def _switch_routes(snapshot: Snapshot, ids: Iterable[str], context: CompileContext) -> None:
    def policies_of(service_id: str) -> Policies:
        body = snapshot.bodies["service"].get(service_id)
        policies: Policies = json.loads(body)["policies"] if body else NO_POLICIES
        return policies

    live = snapshot.live
    plans = PlanCompiler(policies_of, live.defaults, context.rng, live.identity_names)
    for route_id in ids:
        route, body = snapshot.routes.get(route_id), snapshot.bodies["route"].get(route_id)
        if route is None or body is None:
            continue
        plan = plans.compile(json.loads(body), route.plan)
        route.plan = switched_off(plan) if is_switched_off(route, context.overrides) else plan


def _home(snapshot: Snapshot, instance_id: str) -> str:
    """Return the id of an instance's service; empty where there is none."""
    body = snapshot.bodies["instance"].get(instance_id)
    home: str = json.loads(body)["service_id"] if body else ""
    return home


def _services_with_unhealthy(snapshot: Snapshot) -> Iterable[str]:
    for service_id, members in snapshot.members.items():
        if any(not instance.is_healthy for instance in members):
            yield service_id
