"""What a worker answers when somebody asks where a request would go, and why."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.balancing.instance import InstanceState
from fengling_gateway.balancing.overrides import Overrides
from fengling_gateway.model.delta import Change
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.routing.explanation import LISTED, explain
from fengling_gateway.routing.overriding import override
from fengling_gateway.routing.snapshot import Snapshot
from fengling_gateway.routing.standing import show_instances
from tests.routing.deltas import make_context, make_delta

NOW = 1_000.0

CONFIGURATION: dict[Key, dict[str, Any]] = {
    Key("tenant", "acme"): {"hosts": ["acme.example"]},
    Key("service", "s"): {},
    Key("instance", "s-1"): {"service_id": "s", "address": "http://10.0.0.5:8080"},
    Key("route", "orders"): {"path": "/orders/**", "service_id": "s"},
    Key("route", "all"): {"service_id": "s"},
    Key("route", "own"): {"tenant_id": "acme", "path": "/orders", "service_id": "s"},
    Key("route", "off"): {"path": "/orders", "enabled": False, "service_id": "s"},
    Key("route", "there"): {"hosts": ["there.example"], "service_id": "s"},
    Key("route", "away"): {"path": "/away", "service_id": "nobody"},
    Key("route", "moved"): {"path": "/moved", "redirect": {"location": "https://new.example"}},
    Key("route", "halves"): {"path": "/halves", "split": {"s": 1, "nobody": 1}},
}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    changes = [accepted(key, values) for key, values in CONFIGURATION.items()]
    empty = Snapshot.empty()
    return empty.apply(make_delta(empty, *changes, full=True), make_context())


def accepted(key: Key, values: dict[str, Any]) -> Change:
    verdict = validate(key, {"id": key.id, **values})
    assert isinstance(verdict, Accepted), verdict
    return Change(key, verdict.body)


def test_the_answer_names_tenant_route_candidates_and_action(snapshot: Snapshot) -> None:
    """Everything that decides where a request goes."""
    answer = explain(snapshot, {"host": "ACME.example:8080", "path": "/orders?x=1"}, NOW)
    assert (answer["tenant"], answer["route"], "asked" in answer) == ("acme", "own", False)
    assert [one["route"] for one in answer["candidates"]] == ["own", "orders", "all"]
    assert answer["action"] == {
        "kind": "forward",
        "access": "public",
        "services": [
            {
                "service": "s",
                "more_candidates": 0,
                "candidates": [
                    {
                        "instance": "s-1",
                        "address": "http://10.0.0.5:8080",
                        "weight": answer["action"]["services"][0]["candidates"][0]["weight"],
                        "in_flight": 0,
                        "against": None,
                    }
                ],
                "refused": [],
                "left_out": [],
            }
        ],
    }


def test_the_answer_says_who_is_left_out_because_of_where_it_is() -> None:
    """Else nobody would understand a 503."""
    changes = [
        accepted(Key("service", "s"), {}),
        accepted(Key("instance", "here"), {"service_id": "s", "address": "http://[::1]:8080"}),
        accepted(Key("instance", "there"), {"service_id": "s", "address": "http://10.0.0.5"}),
        accepted(Key("route", "all"), {"service_id": "s"}),
    ]
    empty = Snapshot.empty()
    served = empty.apply(make_delta(empty, *changes, full=True), make_context())
    [service] = explain(served, {}, NOW)["action"]["services"]
    assert [one["instance"] for one in service["candidates"]] == ["there"]
    reason = "::1 is loopback: [upstream] allow does not name it"
    assert service["refused"] == [
        {"instance": "here", "address": "http://[::1]:8080", "reason": reason}
    ]


def test_the_answer_says_who_gets_nothing_and_why() -> None:
    """Ejected and for how long, switched off, unhealthy, or as somebody configured it."""
    changes = [
        accepted(Key("service", "s"), {}),
        accepted(Key("route", "all"), {"service_id": "s"}),
    ]
    for name, more in (
        *(("a", {}), ("b", {}), ("c", {}), ("d", {})),
        *(("drained", {"state": "drain"}), ("light", {"weight": 0}), ("off", {}), ("out", {})),
        ("sick", {}),
    ):
        values = {"service_id": "s", "address": f"http://{name}.example", **more}
        changes.append(accepted(Key("instance", name), values))
    sick = {"instance_id": "sick", "health": "unhealthy"}
    changes.append(accepted(Key("instance_health", "sick"), sick))
    empty, context = Snapshot.empty(), make_context()
    served = empty.apply(make_delta(empty, *changes, full=True), context)
    served = override(served, Overrides(instances=frozenset({"off"})), context)
    [service] = list(served.services.values())
    [out] = [one for one in service.states if one.id == "out"]
    out.ejected_until = 30.0
    service.settle(context.rng)

    def ejected_for(state: InstanceState) -> float | None:
        return state.ejected_until or None

    [told] = explain(served, {}, NOW, ejected_for)["action"]["services"]
    assert [one["instance"] for one in told["candidates"]] == ["a", "b", "c", "d"]
    assert {one["instance"]: one["reason"] for one in told["left_out"]} == {
        "drained": "drain",
        "light": "weight 0",
        "off": "switched off",
        "out": "ejected for 30 s",
        "sick": "unhealthy",
    }
    marked = {one["instance"]: one for one in show_instances(served, None, ejected_for)}
    assert set(marked) == {"off", "out"}
    assert (marked["out"]["ejected_for"], marked["off"]["switched_off"]) == (30.0, True)
    [named] = show_instances(served, ["sick", "nobody"], ejected_for)
    assert (named["service"], named["reason"], named["requests"]) == ("s", "unhealthy", 0)


def test_what_speaks_against_candidates_in_panic_is_told_with_them() -> None:
    """They are sent to all the same."""
    changes = [
        accepted(Key("service", "s"), {}),
        accepted(Key("route", "all"), {"service_id": "s"}),
    ]
    instance = {"service_id": "s", "address": "http://10.0.0.5"}
    changes.append(accepted(Key("instance", "i"), instance))
    sick = {"instance_id": "i", "health": "unhealthy"}
    changes.append(accepted(Key("instance_health", "i"), sick))
    empty, context = Snapshot.empty(), make_context()
    served = empty.apply(make_delta(empty, *changes, full=True), context)
    [told] = explain(served, {}, NOW)["action"]["services"]
    assert [one["against"] for one in told["candidates"]] == ["unhealthy"]
    assert told["left_out"] == []
    served = override(served, Overrides(health_is_stale=True), context)
    [told] = explain(served, {}, NOW)["action"]["services"]
    assert [one["against"] for one in told["candidates"]] == [None]


def test_a_route_that_is_switched_off_says_so(snapshot: Snapshot) -> None:
    """It is chosen all the same: nothing else gets what it takes."""
    context = make_context()
    try:
        served = override(snapshot, Overrides(routes=frozenset({"orders"})), context)
        answer = explain(served, {"path": "/orders"}, NOW)
        assert (answer["route"], answer["action"]["kind"]) == ("orders", "switched_off")
        assert explain(served, {"path": "/"}, NOW)["action"]["kind"] == "forward"
    finally:
        override(snapshot, Overrides(), context)


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        ("orders", "the first that takes the request"),
        ("all", "would take it, but comes after orders"),
        ("own", "it is for tenant acme, the request for none"),
        ("off", "it is disabled"),
        ("there", "host a.example is not among there.example"),
        ("away", "path /orders does not match /away"),
        ("nothing", "there is no such route"),
    ],
)
def test_a_route_that_was_asked_for_gets_its_reason(
    snapshot: Snapshot, route: str, reason: str
) -> None:
    """Also if the request never came near it."""
    answer = explain(snapshot, {"host": "a.example", "path": "/orders", "route": route}, NOW)
    assert answer["route"] == "orders"
    assert answer["asked"] == {"route": route, "chosen": route == "orders", "reason": reason}


@pytest.mark.parametrize(
    ("path", "kind", "error"),
    [
        ("/moved", "redirect", None),
        ("/halves", "split", "there is no such service: 503"),
        ("/away", "forward", "there is no such service: 503"),
    ],
)
def test_each_kind_of_route_tells_its_action(
    snapshot: Snapshot, path: str, kind: str, error: str | None
) -> None:
    """With what is missing."""
    action = explain(snapshot, {"path": path}, NOW)["action"]
    assert action["kind"] == kind
    errors = [one["error"] for one in action.get("services", ()) if "error" in one]
    assert errors == ([] if error is None else [error])


@pytest.mark.parametrize("host", ["[::1]", "[::1]:8080"])
def test_an_address_in_brackets_is_a_host(snapshot: Snapshot, host: str) -> None:
    """Its colons are no port."""
    answer = explain(snapshot, {"host": host, "path": "/orders", "route": "there"}, NOW)
    assert answer["asked"]["reason"].startswith("host ::1 is not")


def test_what_is_listed_is_bounded() -> None:
    """A host may have 100,000 routes with one path, and a service as many instances."""
    context, count = make_context(), LISTED + 50
    changes = [accepted(Key("service", "s"), {})]
    for number in range(count):
        address = f"http://10.0.0.{number}:80"
        changes += [
            accepted(Key("route", f"r{number:03}"), {"service_id": "s", "methods": ["PUT"]}),
            accepted(Key("instance", f"i{number}"), {"service_id": "s", "address": address}),
        ]
    changes += [accepted(Key("route", name), {"service_id": "s"}) for name in ("winner", "x")]
    empty = Snapshot.empty()
    snapshot = empty.apply(make_delta(empty, *changes, full=True), context)
    answer = explain(snapshot, {"path": "/", "route": "x"}, NOW)
    assert [one["route"] for one in answer["candidates"][-2:]] == [f"r{LISTED - 1:03}", "winner"]
    assert (len(answer["candidates"]), answer["more_candidates"]) == (LISTED + 1, 51)
    assert answer["asked"]["reason"] == "would take it, but comes after winner"
    [service] = answer["action"]["services"]
    assert (len(service["candidates"]), service["more_candidates"]) == (LISTED, 50)


def test_what_no_client_could_send_is_answered_all_the_same(snapshot: Snapshot) -> None:
    """JSON can hold what HTTP can't."""
    answer = explain(snapshot, {"host": "a:b:c", "path": "/\ud800", "route": "all"}, NOW)
    assert answer["route"] == "all"


@pytest.mark.parametrize(
    ("path", "access"),
    [("/open", "public"), ("/closed", "required"), ("/halves", "public"), ("/moved", "optional")],
)
def test_who_may_ask_is_told(path: str, access: str) -> None:
    """Of a split, the most open of its ways."""
    required, optional = ({"auth": {"mode": mode}} for mode in ("required", "optional"))
    configuration: dict[Key, dict[str, Any]] = {
        Key("service", "s"): {"policies": required},
        Key("service", "t"): {},
        Key("route", "open"): {"path": "/open", "service_id": "t"},
        Key("route", "closed"): {"path": "/closed", "service_id": "s"},
        Key("route", "halves"): {"path": "/halves", "split": {"s": 9, "t": 1}},
        Key("route", "moved"): {
            "path": "/moved",
            "redirect": {"location": "https://new.example"},
            "policies": optional,
        },
    }
    changes = [accepted(key, values) for key, values in configuration.items()]
    empty = Snapshot.empty()
    served = empty.apply(make_delta(empty, *changes, full=True), make_context())
    assert explain(served, {"path": path}, NOW)["action"]["access"] == access
