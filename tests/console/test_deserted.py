"""Services that get requests and have nobody to send them to."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fengling_gateway.console.deserted import deserted_services
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.routing.snapshot import CompileContext, Snapshot

SERVICE = ("service", {"id": "s"})
ROUTE = ("route", {"id": "r", "path": "/r", "service_id": "s"})
NOW = 1_800_000_000.0
BEFORE, AFTER = "2026-11-22T10:00:00Z", "2030-01-01T00:00:00Z"


def instance(name: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    address = f"http://127.0.0.1:{9000 + ord(name)}"
    return "instance", {"id": name, "service_id": "s", "address": address, **fields}


def snapshot(*rows: tuple[str, dict[str, Any]]) -> Snapshot:
    bodies = {}
    for kind, fields in rows:
        key = Key(kind, fields.get("id") or fields["instance_id"])
        verdict = validate(key, fields)
        assert isinstance(verdict, Accepted), verdict
        bodies[key] = verdict.body
    changes = tuple(Change(*one) for one in bodies.items())
    delta = Delta(None, Position("e", 1, ""), 0, hash_of(bodies), changes)
    return Snapshot.empty().apply(delta, CompileContext(random.Random(0)))


@pytest.mark.parametrize(
    "rows",
    [
        [SERVICE, ROUTE],
        [SERVICE, ROUTE, instance("a", state="drain"), instance("b", state="maintenance")],
        [SERVICE, ROUTE, instance("a", weight=0)],
        [SERVICE, ("route", {"id": "r", "path": "/r", "split": {"s": 1}})],
        [SERVICE, ("route", {**ROUTE[1], "valid_from": BEFORE, "valid_to": AFTER})],
    ],
)
def test_service_without_instances_for_its_requests_is_named(
    rows: list[tuple[str, dict[str, Any]]],
) -> None:
    assert list(deserted_services(snapshot(*rows), (), now=NOW)) == ["s"]


@pytest.mark.parametrize(
    "rows",
    [
        [SERVICE],
        [SERVICE, ROUTE, instance("a"), instance("b", state="drain")],
        [SERVICE, ("route", {**ROUTE[1], "enabled": False})],
        [SERVICE, ("route", {**ROUTE[1], "valid_from": AFTER})],
        [SERVICE, ("route", {**ROUTE[1], "valid_to": BEFORE})],
        [("service", {"id": "s", "enabled": False}), ROUTE],
        [
            SERVICE,
            ("service", {"id": "t"}),
            ("instance", {"id": "t-1", "service_id": "t", "address": "http://127.0.0.1:1"}),
            ("route", {"id": "r", "path": "/r", "split": {"t": 100, "s": 0}}),
        ],
    ],
)
def test_what_gets_no_request_or_has_somebody_is_not(
    rows: list[tuple[str, dict[str, Any]]],
) -> None:
    """Disabled by somebody, without a route that is valid now, or with no share of one."""
    assert list(deserted_services(snapshot(*rows), (), now=NOW)) == []


def test_unhealthy_instances_are_asked_all_the_same() -> None:
    """If there are no others."""
    health = ("instance_health", {"id": "a", "health": "unhealthy"})
    found = snapshot(SERVICE, ROUTE, instance("a"), health)
    assert list(deserted_services(found, (), now=NOW)) == []


def test_what_is_switched_off_counts() -> None:
    """An instance as drained, a route as disabled."""
    found = snapshot(SERVICE, ROUTE, instance("a"))
    assert list(deserted_services(found, {"instance/a"}, now=NOW)) == ["s"]
    assert list(deserted_services(found, {"instance/a", "route/r"}, now=NOW)) == []
