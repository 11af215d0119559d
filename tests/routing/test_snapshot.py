"""Snapshots: what a delta touches, and what stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.model.delta import Change, Delta, Position, decode_changes, encode_changes
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.plan import ForwardPlan
from fengling_gateway.routing.snapshot import CompileContext, HashMismatch, Snapshot
from tests.balancing.builders import make_instance_body, make_service_body
from tests.routing.builders import Request, make_body
from tests.routing.deltas import change, make_context, make_delta, served


def loaded(context: CompileContext, *changes: Change) -> Snapshot:
    snapshot = Snapshot.empty().apply(make_delta(Snapshot.empty(), *changes, full=True), context)
    context.compiled.update(dict.fromkeys(context.compiled, 0))
    return snapshot


def spent(context: CompileContext) -> dict[str, int]:
    return {kind: count for kind, count in context.compiled.items() if count}


def plan_of(snapshot: Snapshot, route_id: str = "r") -> ForwardPlan:
    route = snapshot.routes.get(route_id)
    assert route is not None
    assert isinstance(route.plan, ForwardPlan)
    return route.plan


def edits_of(snapshot: Snapshot, route_id: str) -> list[bytes]:
    return sorted(plan_of(snapshot, route_id).request_headers.names)


def health(instance_id: str, value: str) -> Change:
    return change("instance_health", {"id": instance_id, "health": value, "reason": None})


ROUTE = change("route", make_body())
SERVICE = change("service", make_service_body())
INSTANCE = change("instance", make_instance_body())


class EmptySnapshotTests:
    def test_empty_snapshot_serves_nothing(self) -> None:
        """Before its first configuration a worker has no position and no route."""
        empty = Snapshot.empty()
        assert empty.position is None
        assert empty.content_hash == 0
        assert empty.routes.match(Request(), None, 0.0) is None
        assert repr(empty) == "<Snapshot None routes=0>"


class ApplyTests:
    def test_changes_may_come_in_any_order(self) -> None:
        """A route before its service, an instance before both, a report before all."""
        snapshot = loaded(make_context(), health("i", "healthy"), INSTANCE, ROUTE, SERVICE)
        service = snapshot.services.get("s")
        assert service is not None
        assert [state.instance.health for state in service.states] == ["healthy"]
        assert snapshot.position == Position("epoch", 1, "t")
        route = snapshot.routes.match(Request(), None, 0.0)
        assert route is not None
        assert route.id == "r"

    def test_one_changed_route_compiles_one_object(self) -> None:
        """Services, other routes and their plans are the very same objects."""
        context = make_context()
        other = change("route", make_body("other", "/other"))
        first = loaded(context, ROUTE, other, SERVICE, INSTANCE)
        changed = change("route", make_body(priority=5))
        second = first.apply(make_delta(first, changed), context)
        assert spent(context) == {"route": 1}
        assert second.routes.get("other") is first.routes.get("other")
        assert second.services is first.services
        assert second.bodies["service"] is first.bodies["service"]

    def test_health_report_compiles_its_instance_and_service(self) -> None:
        """One flip among many touches no route, and keeps the state."""
        context = make_context()
        first = loaded(context, ROUTE, SERVICE, INSTANCE)
        second = first.apply(make_delta(first, health("i", "unhealthy")), context)
        assert spent(context) == {"instance": 1, "service": 1}
        assert second.routes.get("r") is first.routes.get("r")
        before, after = first.services.get("s"), second.services.get("s")
        assert before is not None
        assert after is not None
        assert after.states == before.states
        assert after.states[0].instance.health == "unhealthy"

    def test_report_is_forgotten_with_its_row(self) -> None:
        """Without a report an instance's health is unknown."""
        context = make_context()
        first = loaded(context, SERVICE, INSTANCE, health("i", "unhealthy"))
        gone = Change(Key("instance_health", "i"), None)
        service = first.apply(make_delta(first, gone), context).services.get("s")
        assert service is not None
        assert service.states[0].instance.health == "unknown"

    def test_service_policies_reach_its_routes_only(self) -> None:
        """Routes of other services are not compiled again."""
        context = make_context()
        first = loaded(
            context,
            ROUTE,
            SERVICE,
            change("route", make_body("split", service_id=None, split={"s": 1, "t": 1})),
            change("route", make_body("other", service_id="t")),
        )
        policies = {"retry": {"attempts": 3}}
        changed = change("service", make_service_body(policies=policies))
        second = first.apply(make_delta(first, changed), context)
        assert spent(context) == {"service": 1, "route": 2}
        assert plan_of(second).retry_attempts == 3
        branches = plan_of(second, "split").branches
        assert branches is not None
        assert (branches["s"].retry_attempts, branches["t"].retry_attempts) == (3, 1)
        assert plan_of(second, "split").split is plan_of(first, "split").split

    def test_service_change_without_policies_leaves_routes(self) -> None:
        """A timeout of a service is read from the service."""
        context = make_context()
        first = loaded(context, ROUTE, SERVICE)
        changed = change("service", make_service_body(idle_timeout=5.0))
        second = first.apply(make_delta(first, changed), context)
        assert spent(context) == {"service": 1}
        assert second.routes.get("r") is first.routes.get("r")

    def test_defaults_reach_every_route(self) -> None:
        """What all inherit, all are compiled with."""
        context = make_context()
        first = loaded(context, ROUTE, change("route", make_body("other")))
        value = {"key": "defaults", "value": {"retry": {"attempts": 2}}}
        changed = change("setting", value, "defaults")
        second = first.apply(make_delta(first, changed), context)
        assert spent(context) == {"setting": 1, "route": 2}
        assert plan_of(second).retry_attempts == plan_of(second, "other").retry_attempts == 2
        assert second.defaults == {"retry": {"attempts": 2}}

    def test_identity_headers_reach_every_route(self) -> None:
        """What becomes an identity header no route edits any more, and may again afterwards."""
        context = make_context()
        edits = {"set": {"x_who": "evil", "X-Ok": "1"}, "remove": ["X-Who"]}
        policies = {"request_headers": edits, "response_headers": edits}
        split = make_body("split", service_id=None, split={"s": 1}, policies=policies)
        first = loaded(
            context, change("route", make_body(policies=policies)), change("route", split)
        )
        value = {"key": "identity_headers", "value": {"user": "X-Who"}}
        chosen = change("setting", value, "identity_headers")
        second = first.apply(make_delta(first, chosen), context)
        third = second.apply(make_delta(second, Change(chosen.key, None)), context)
        assert [edits_of(snapshot, "r") for snapshot in (first, second, third)] == [
            [b"x-ok", b"x-who"],
            [b"x-ok"],
            [b"x-ok", b"x-who"],
        ]
        branches = plan_of(second, "split").branches
        assert branches is not None
        assert branches["s"].request_headers.names == {b"x-ok"}
        assert plan_of(second).response_headers.names == {b"x-ok", b"x-who"}

    def test_settings_are_compiled(self) -> None:
        """Networks are networks, and headers not named keep their names."""
        snapshot = loaded(
            make_context(),
            change(
                "setting", {"key": "trusted_proxies", "value": ["10.0.0.0/8"]}, "trusted_proxies"
            ),
            change(
                "setting",
                {"key": "identity_headers", "value": {"user": "X-Who"}},
                "identity_headers",
            ),
            change("setting", {"key": "hold", "value": {"max_removed_share": 1}}, "hold"),
        )
        assert [str(network) for network in snapshot.trusted_proxies] == ["10.0.0.0/8"]
        assert snapshot.identity_headers["user"] == "X-Who"
        assert snapshot.identity_headers["tenant"] == "X-Tenant-Id"

    def test_route_of_an_unknown_service_compiles(self) -> None:
        """It matches, and there is no service to forward to."""
        snapshot = loaded(make_context(), ROUTE)
        assert plan_of(snapshot).service_id == "s"
        assert snapshot.services.get("s") is None


class RefusedInstanceTests:
    def test_instance_where_this_host_may_not_go_is_no_candidate(self) -> None:
        """It is in the configuration, as on other hosts, and named with the reason."""
        context = make_context()
        here = change("instance", make_instance_body("here", address="http://127.0.0.1:80"))
        there = change("instance", make_instance_body("there"))
        served = loaded(context, here, there, change("service", make_service_body()))
        service = served.services["s"]
        assert [state.id for state in service.states] == ["here", "there"]
        assert [state.id for state in service.candidates(None)] == ["there"]
        assert list(context.refused) == ["here"]
        assert context.refused["here"].startswith("127.0.0.1 is loopback")

    def test_refusal_ends_with_the_address_or_the_instance(self) -> None:
        """What is told is what there is."""
        context = make_context()
        bodies = [make_instance_body(one, address="http://127.0.0.1:80") for one in ("a", "b", "c")]
        changes = [change("instance", body) for body in bodies]
        served = loaded(context, *changes, change("service", make_service_body()))
        moved = change("instance", make_instance_body("a", address="http://10.0.0.1:80"))
        gone = Change(Key("instance", "b"), None)
        served = served.apply(make_delta(served, moved, gone, health("c", "healthy")), context)
        assert list(context.refused) == ["c"]
        assert [state.id for state in served.services["s"].candidates(None)] == ["a"]

    def test_tenant_whose_own_instances_are_refused_spills(self) -> None:
        """As if they were not ready."""
        context = make_context()
        mine = make_instance_body("mine", address="http://127.0.0.1:80", tenant_id="t1")
        service = change("service", make_service_body(tenant_spill=True))
        shared = change("instance", make_instance_body("shared"))
        served = loaded(context, change("instance", mine), shared, service)
        assert [state.id for state in served.services["s"].candidates("t1")] == ["shared"]


class InstanceStateTests:
    def test_other_address_is_another_state(self) -> None:
        """Connections and load of the old address are not the new one's."""
        context = make_context()
        first = loaded(context, SERVICE, INSTANCE)
        moved = change("instance", make_instance_body(address="http://192.0.2.9:1"))
        second = first.apply(make_delta(first, moved), context)
        before, after = first.services.get("s"), second.services.get("s")
        assert before is not None
        assert after is not None
        assert second.retired == before.states
        assert after.states != before.states
        assert before.states[0].retired
        assert before.states[0].instance.host == "192.0.2.1"

    def test_instance_that_changes_service_keeps_its_state(self) -> None:
        """It is the same process at the same address, whatever service it is listed under."""
        context = make_context()
        first = loaded(context, SERVICE, change("service", make_service_body("t")), INSTANCE)
        service = first.services.get("s")
        assert service is not None
        moved = change("instance", make_instance_body(service_id="t"))
        second = first.apply(make_delta(first, moved), context)
        other = second.services.get("t")
        assert other is not None
        assert other.states == service.states
        assert second.retired == ()

    def test_states_change_only_at_the_end(self) -> None:
        """While a delta is being applied, requests see the instance as it was."""
        context = make_context()
        first = loaded(context, SERVICE, INSTANCE)
        service = first.services.get("s")
        assert service is not None
        heavy = change("instance", make_instance_body(weight=7))
        builder = first.applying(make_delta(first, heavy), context)
        builder.add([heavy])
        while builder.step(1):
            assert service.states[0].instance.weight == 1
        assert service.states[0].instance.weight == 1
        builder.finish()
        assert service.states[0].instance.weight == 7


class FullDeltaTests:
    def test_what_is_not_in_it_is_gone(self) -> None:
        """A full delta is the whole configuration."""
        context = make_context()
        first = loaded(context, ROUTE, SERVICE, INSTANCE)
        other = change("route", make_body("other"))
        second = first.apply(make_delta(first, other, full=True), context)
        assert [route.id for route in second.routes] == ["other"]
        assert len(second.services) == 0
        assert len(second.retired) == 1

    def test_what_is_unchanged_is_not_compiled(self) -> None:
        """A worker that catches up keeps the objects of all that it had right."""
        context = make_context()
        first = loaded(context, ROUTE, SERVICE, INSTANCE)
        extra = change("route", make_body("extra"))
        second = first.apply(make_delta(first, ROUTE, SERVICE, INSTANCE, extra, full=True), context)
        assert spent(context) == {"route": 1}
        assert second.routes.get("r") is first.routes.get("r")
        assert second.services.get("s") is first.services.get("s")


class MismatchTests:
    def test_delta_from_elsewhere_is_refused_at_once(self) -> None:
        """Its changes need not even be read."""
        context = make_context()
        snapshot = loaded(context, ROUTE)
        delta = Delta(snapshot.position, Position("epoch", 2, "t"), 12345, 0, ())
        with pytest.raises(HashMismatch, match="starts from another"):
            snapshot.applying(delta, context)

    @pytest.mark.parametrize("full", [True, False])
    def test_delta_that_leads_elsewhere_is_refused(self, full: bool) -> None:
        """Nothing of it is served."""
        context = make_context()
        snapshot = loaded(context, ROUTE, SERVICE, INSTANCE)
        before = served(snapshot)
        delta = make_delta(snapshot, SERVICE, full=full)
        builder = snapshot.applying(delta, context)
        builder.add([change("instance", make_instance_body(weight=9))])
        with pytest.raises(HashMismatch, match="has not led"):
            builder.finish()
        assert served(snapshot) == before


class FailureTests:
    @pytest.mark.parametrize(
        ("kind", "broken"),
        [
            ("route", {"id": "r"}),
            ("route", make_body(path="no template")),
            ("service", make_service_body(balancing="by_magic")),
            ("service", {**make_service_body(), "connect_timeout": "soon"}),
            ("service", {"id": "s"}),
            ("instance", {"id": "i"}),
            ("instance", make_instance_body(address="nowhere")),
            ("tenant", {"id": "t"}),
            ("setting", {"key": "trusted_proxies", "value": ["everyone"]}),
        ],
    )
    def test_body_that_does_not_compile_is_left_out(self, kind: str, broken: Any) -> None:
        """One entity that should never have come here does not stop all others."""
        context = make_context()
        other = change("route", make_body("other", "/other"))
        entity_id = broken.get("id") or broken["key"]
        good = [SERVICE, INSTANCE, change("instance", make_instance_body("i2"))]
        first = loaded(context, other, *(one for one in good if one.key != Key(kind, entity_id)))
        second = first.apply(make_delta(first, change(kind, broken, entity_id)), context)
        assert second.routes.get("other") is not None
        assert list(context.failed) == [Key(kind, entity_id)]
        third = second.apply(make_delta(second, Change(Key(kind, entity_id), None)), context)
        assert third.content_hash == first.content_hash
        assert not context.failed

    def test_route_recovers_with_its_service(self) -> None:
        """A route that failed for its service's policies comes back with better ones."""
        context = make_context()
        odd = change("service", make_service_body(policies={"timeouts": {"total": "late"}}))
        first = loaded(context, odd, ROUTE)
        assert list(context.failed) == [Key("route", "r")]
        second = first.apply(make_delta(first, SERVICE), context)
        assert not context.failed
        assert plan_of(second).total_timeout is None

    def test_route_recovers(self) -> None:
        """A later version that compiles is served, and the failure forgotten."""
        context = make_context()
        snapshot = loaded(context, change("route", make_body(path="no template")))
        assert context.failed
        second = snapshot.apply(make_delta(snapshot, ROUTE), context)
        assert not context.failed
        assert second.routes.get("r") is not None


class LargeLoadTests:
    def test_many_entities_come_in_parts_and_steps(self) -> None:
        """A load of thousands never compiles more than it was asked to in a step."""
        context = make_context()
        changes = []
        for number in range(1500):
            name = f"n{number}"
            changes.append(change("route", make_body(name, f"/{name}", service_id=name)))
            changes.append(change("service", make_service_body(name)))
            changes.append(change("instance", make_instance_body(name, service_id=name)))
        delta = make_delta(Snapshot.empty(), *changes, full=True)
        builder = Snapshot.empty().applying(delta, context)
        for part in encode_changes(changes):
            builder.add(decode_changes(part))
        more, compiled = True, 0
        while more:
            more = builder.step(50)
            total = sum(context.compiled.values())
            assert total - compiled <= 50
            compiled = total
        snapshot = builder.finish()
        assert snapshot.routes.size == len(snapshot.services) == 1500
        assert compiled == 4500

        gone = [Change(key, None) for key, _ in changes if key.kind == "route"]
        empty = snapshot.apply(make_delta(snapshot, *gone), context)
        assert empty.routes.size == 0
        assert len(empty.dependents) == 0
        assert snapshot.routes.size == 1500

    def test_many_routes_of_one_service_are_all_found(self) -> None:
        """The index of dependents grows and shrinks with its routes."""
        context = make_context()
        routes = [change("route", make_body(f"r{number}", f"/{number}")) for number in range(300)]
        snapshot = loaded(context, SERVICE, *routes)
        gone = [Change(one.key, None) for one in routes[:298]]
        second = snapshot.apply(make_delta(snapshot, *gone), context)
        changed = change("service", make_service_body(policies={"retry": None}))
        context.compiled["route"] = 0
        third = snapshot.apply(make_delta(snapshot, changed), context)
        assert context.compiled["route"] == 300
        second.apply(make_delta(second, changed), context)
        assert context.compiled["route"] == 302
        assert plan_of(third, "r299").retry_attempts == 0


class NamesTests:
    @pytest.mark.parametrize("count", [1, 2], ids=["one route", "several routes"])
    def test_route_names_its_service_while_both_are_there(self, count: int) -> None:
        """Whether one route depends on the service or several; no part of an id is an id."""
        bodies = [make_body(f"route-{number}") for number in range(count)]
        snapshot = loaded(make_context(), SERVICE, *(change("route", body) for body in bodies))
        assert snapshot.names("route-0", "s")
        assert not snapshot.names("route", "s")
        assert not snapshot.names("route-0", "other")
        assert (snapshot.names("route-0", ""), snapshot.names("gone", "")) == (True, False)
        assert (snapshot.names("", "s"), snapshot.names("", "gone")) == (True, False)
