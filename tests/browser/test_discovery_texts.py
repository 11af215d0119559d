"""What pages say of a cluster, in words: who watches it, what is wrong, what comes of whom."""

from __future__ import annotations

from typing import Any, Final

import pytest

from fengling_gateway.configsource.file_yaml import read_yaml
from fengling_gateway.kubernetes import ids, objects
from fengling_gateway.kubernetes.offers import offer
from tests.browser.conftest import Call

MODULE: Final = "text/discovery.js"


def resource(name: str, **more: Any) -> dict[str, Any]:
    """Return what a reflector tells of itself while all is well."""
    well = {"namespace": None, "state": "watching", "objects": 12, "problem": None}
    return {"resource": name, **well, "synced_at": "2026-11-22T20:00:00Z", **more}


def discovery(*resources: dict[str, Any], **leader: Any) -> dict[str, Any]:
    watching = {"holder": "c1", "heartbeat_age_s": 0.4, "is_mine": True, "problem": None}
    status = {"resources": list(resources)}
    return {"enabled": True, "leader": watching | leader, "status": status}


def with_status(value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**value, "status": value["status"] | more}


def said(call: Call, value: dict[str, Any]) -> list[str]:
    return [f"{one['tone']}: {one['text']}" for one in call(MODULE, "watched", value)]


SERVICES: Final = resource("services")
SLICES: Final = resource("endpointslices.discovery.k8s.io", objects=1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"enabled": False, "leader": None, "status": None}, ["unknown: No cluster is watched"]),
        (
            discovery(SERVICES, SLICES),
            ["good: c1 watches all namespaces: 12 services, 1 endpointslice"],
        ),
        (discovery(holder=None), ["bad: No console watches the cluster"]),
        (
            discovery(SERVICES, heartbeat_age_s=75),
            ["bad: c1 watched the cluster, and is silent for 1 min"],
        ),
        (
            discovery(SERVICES, is_mine=False, problem="no token at /var/run/x"),
            [
                "warn: This console can't watch: no token at /var/run/x",
                "good: c1 watches all namespaces: 12 services",
            ],
        ),
        ({**discovery(), "status": None}, ["wait: c1 begins to watch the cluster"]),
        (
            with_status(discovery(), api_server={"problem": "there is no token"}),
            ["bad: there is no token", "wait: c1 begins to watch the cluster"],
        ),
        (
            with_status(
                discovery(SERVICES, problem="read-only"),
                writing={"problem": "read-only", "refused": 2},
                gateway_api={"problem": "409: Conflict"},
            ),
            [
                "bad: What the cluster says can't be written: read-only",
                "warn: Not all of its Gateways and HTTPRoutes can be followed, or told in their statuses: 409: Conflict",
                "warn: 2 entities are refused",
            ],
        ),
        (
            discovery(SERVICES, resource("endpointslices", state="forbidden", problem="403: no")),
            ["bad: endpointslices are forbidden: 403: no"],
        ),
        (
            discovery(
                resource("services", state="waiting", problem="connection refused"),
                resource("endpointslices", state="waiting", problem="connection refused"),
            ),
            ["warn: services, endpointslices can't be read: connection refused"],
        ),
        (
            discovery(
                resource(
                    "services", namespace="shop", state="waiting", synced_at=None, problem="no"
                )
            ),
            ["bad: services of shop can't be read: no"],
        ),
        (
            discovery(resource("services", state="waiting", synced_at=None)),
            ["wait: services are being listed"],
        ),
        (
            discovery(resource("services", problem="what can't be read stays as it was: shop/a")),
            ["warn: services are watched: what can't be read stays as it was: shop/a"],
        ),
        (
            discovery(
                resource("httproutes", state="absent"), resource("services", state="listing")
            ),
            [
                "warn: httproutes are not known to the API server",
                "wait: services are being listed",
            ],
        ),
    ],
)
def test_first_sentence_is_the_worst(call: Call, value: Any, expected: list[str]) -> None:
    """Once for all resources that have the same trouble, as when the API server is away."""
    assert said(call, value) == expected


def test_overview_that_cannot_be_read_says_so(call: Call) -> None:
    [one] = call(MODULE, "watched", None, {"message": "the database is away"})
    assert one == {"tone": "bad", "text": "The console can't tell: the database is away"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"state": "pending"}, ["pending"]),
        ({"state": "pending", "offer": {"problems": ["a", "b"]}}, ["pending", "2 problems"]),
        ({"state": "approved", "result": None}, ["approved", "under way"]),
        (
            {"state": "approved", "decision": 8, "result": {"state": "served", "decision": 7}},
            ["approved", "under way"],
        ),
        (
            {"state": "approved", "decision": 8, "result": {"state": "served", "decision": 8}},
            ["approved", "served"],
        ),
        (
            {"state": "approved", "result": {"state": "served", "asks_for_more": True}},
            ["approved", "served", "asks for something else"],
        ),
        (
            {
                "state": "approved",
                "gone_at": "2026-11-22T20:00:00Z",
                "offer": {"problems": ["a"]},
                "result": {"state": "refused", "problems": ["a", "b"]},
            },
            ["approved", "gone", "2 problems"],
        ),
        ({"state": "rejected", "result": {"state": "removed", "problems": ["a"]}}, ["rejected"]),
    ],
)
def test_marks_say_it_at_a_glance(call: Call, row: Any, words: list[str]) -> None:
    """A problem that offer and result tell alike counts once; of what is out, none of its result."""
    assert [one["word"] for one in call(MODULE, "marks", row)] == words


@pytest.mark.parametrize(
    ("kind", "entity", "expected"),
    [
        ("service", ids.service_id("shop", "orders"), ("Service", "shop", "orders", "")),
        ("service", ids.service_id("shop", "orders", 80), ("Service", "shop", "orders", "port 80")),
        ("route", "shop.orders", ("Service", "shop", "orders", "")),
        ("route", "shop.web.v2.00.11", ("HTTPRoute", "shop", "web.v2", "rule 1, match 12")),
        (
            "instance",
            ids.instance_id("shop.orders", "orders-7d-x"),
            ("Service", "shop", "orders", ""),
        ),
        ("service", ids.service_id("n" * 63, "s" * 63), None),
        ("service", "by-hand", None),
    ],
)
def test_id_says_of_what_an_entity_is_made(
    call: Call, kind: str, entity: str, expected: tuple[str, ...] | None
) -> None:
    """Unless it was too long: then it has only a part of the name."""
    origin = call(MODULE, "originOf", kind, entity)
    names = ("what", "namespace", "name", "more")
    assert (origin and tuple(origin[name] for name in names)) == expected


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ({}, {}),
        ({"comment": "  "}, {}),
        (
            {"hosts": "a.example, b.example", "path": " /a ", "tenant": "acme", "comment": "why"},
            {
                "hosts": ["a.example", "b.example"],
                "path": "/a",
                "tenant_id": "acme",
                "comment": "why",
            },
        ),
        (
            {"hosts": "a.example", "isAnyHost": True, "tenant": "acme", "isNobodys": True},
            {"hosts": [], "tenant_id": None},
        ),
    ],
)
def test_what_is_left_empty_is_not_asked_for(call: Call, typed: Any, sent: Any) -> None:
    """So that it is as the cluster says it, also once that says something else."""
    assert call(MODULE, "approval", typed) == sent


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, []),
        (
            {"hosts": ["a.example", "b.example"], "path": "/a", "tenant_id": "acme"},
            [["Hosts", "a.example, b.example"], ["Path", "/a"], ["Tenant", "acme"]],
        ),
        (
            {"hosts": [], "tenant_id": None},
            [["Hosts", "any"], ["Tenant", "none: for requests of every tenant"]],
        ),
    ],
)
def test_what_was_asked_for_is_asked_for_again(call: Call, asked: Any, words: Any) -> None:
    """As it was, if nobody changes it; and it is said in words."""
    assert call(MODULE, "approval", call(MODULE, "wished", asked)) == asked
    assert call(MODULE, "wishes", asked) == words


@pytest.mark.parametrize("selector", ["managed-by=fengling", "team == shop,tier=web"])
def test_example_has_the_labels_that_are_looked_for(call: Call, selector: str) -> None:
    """It is a Service that becomes a route as it stands."""
    value, _ = read_yaml(call(MODULE, "example", selector).encode())
    wanted = dict(one.replace("==", "=").replace(" ", "").split("=") for one in selector.split(","))
    assert value["metadata"]["labels"] == wanted
    found = offer(objects.service(value), {})
    assert found.problems == ()
    assert found.route is not None
    assert (found.route["hosts"], found.route["path"]) == (["shop.example"], "/orders/{**rest}")
