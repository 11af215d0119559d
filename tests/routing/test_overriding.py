"""What is switched off, in the snapshot that is served."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.balancing.overrides import Overrides
from fengling_gateway.routing.guards import SWITCHED_OFF
from fengling_gateway.routing.overriding import override
from fengling_gateway.routing.plan import ForwardPlan
from fengling_gateway.routing.snapshot import CompileContext, Snapshot
from tests.balancing.builders import make_instance_body, make_service_body
from tests.routing.builders import make_body
from tests.routing.deltas import change, make_context, make_delta


@pytest.fixture
def context() -> CompileContext:
    return make_context()


@pytest.fixture
def snapshot(context: CompileContext) -> Snapshot:
    changes = [
        change("service", make_service_body("s")),
        *[change("instance", make_instance_body(name)) for name in "ab"],
        change("route", make_body("r1")),
        change("route", make_body("r2", "/two")),
        change("route", make_body("halves", "/h", service_id=None, split={"s": 1, "t": 1})),
        change("service", make_service_body("t")),
    ]
    empty = Snapshot.empty()
    return empty.apply(make_delta(empty, *changes, full=True), context)


def off(**given: Any) -> Overrides:
    return Overrides(**{name: frozenset(ids) for name, ids in given.items()})


def plan_of(snapshot: Snapshot, route_id: str) -> ForwardPlan:
    route = snapshot.routes.get(route_id)
    assert route is not None
    assert isinstance(route.plan, ForwardPlan)
    return route.plan


def candidates(snapshot: Snapshot) -> str:
    service = snapshot.services.get("s")
    assert service is not None
    return "".join(state.id for state in service.candidates(None))


def test_route_is_switched_off_alone(snapshot: Snapshot, context: CompileContext) -> None:
    """Others that have the same plan go on."""
    assert plan_of(snapshot, "r1") is plan_of(snapshot, "r2")
    now = override(snapshot, off(routes=["r1"]), context)
    assert plan_of(now, "r1").guards is SWITCHED_OFF
    assert plan_of(now, "r2").guards is None
    now = override(now, off(), context)
    assert plan_of(now, "r1").guards is None


def test_split_that_is_switched_off_keeps_its_turns(
    snapshot: Snapshot, context: CompileContext
) -> None:
    """On again, it goes on where it was; all of its ways are shut meanwhile."""
    split = plan_of(snapshot, "halves").split
    now = override(snapshot, off(routes=["halves"]), context)
    branches = plan_of(now, "halves").branches
    assert branches is not None
    assert {one.guards for one in branches.values()} == {SWITCHED_OFF}
    now = override(now, off(), context)
    assert plan_of(now, "halves").split is split


def test_route_that_changes_stays_switched_off(snapshot: Snapshot, context: CompileContext) -> None:
    """Also one that goes and comes again; and what depends on services is known all the same."""
    now = override(snapshot, off(routes=["r1"]), context)
    now = now.apply(make_delta(now, change("route", make_body("r1", "/other"))), context)
    assert plan_of(now, "r1").guards is SWITCHED_OFF
    policies = {"timeouts": {"total": 5.0}}
    moved = change("service", make_service_body("s", policies=policies))
    now = now.apply(make_delta(now, moved), context)
    assert plan_of(now, "r1").guards is SWITCHED_OFF
    now = override(now, off(), context)
    assert plan_of(now, "r1").total_timeout == 5.0


def test_instance_is_no_candidate_while_it_is_switched_off(
    snapshot: Snapshot, context: CompileContext
) -> None:
    """Not even alone or in panic; nor when it is configured anew."""
    now = override(snapshot, off(instances=["a"]), context)
    assert candidates(now) == "b"
    drained = change("instance", make_instance_body("b", state="drain"))
    now = now.apply(make_delta(now, drained), context)
    assert candidates(now) == ""
    moved = change("instance", make_instance_body("a", address="http://192.0.2.9:80"))
    now = now.apply(make_delta(now, moved), context)
    assert candidates(now) == ""
    now = override(now, off(), context)
    assert candidates(now) == "a"


def test_stale_reports_count_for_nothing(snapshot: Snapshot, context: CompileContext) -> None:
    """Unhealthy is unknown, which is sent to; also what is reported meanwhile."""
    sick = {"id": "a", "health": "unhealthy", "reason": None}
    now = snapshot.apply(make_delta(snapshot, change("instance_health", sick)), context)
    assert candidates(now) == "b"
    now = override(now, Overrides(health_is_stale=True), context)
    assert candidates(now) == "ab"
    sick = {"id": "b", "health": "unhealthy", "reason": None}
    now = now.apply(make_delta(now, change("instance_health", sick)), context)
    assert candidates(now) == "ab"
    now = now.apply(
        make_delta(now, change("instance_health", {**sick, "health": "healthy"})), context
    )
    now = override(now, Overrides(), context)
    assert candidates(now) == "b"


def test_what_is_not_configured_may_be_switched_off(
    snapshot: Snapshot, context: CompileContext
) -> None:
    """It is off when it comes."""
    now = override(snapshot, off(routes=["later"], instances=["c"]), context)
    come = [change("route", make_body("later", "/l")), change("instance", make_instance_body("c"))]
    now = now.apply(make_delta(now, *come), context)
    assert plan_of(now, "later").guards is SWITCHED_OFF
    assert candidates(now) == "ab"
