"""``errors`` and ``exchanges`` of the management API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.task import Clock

from fengling_gateway.model.entity import Key, canonical
from fengling_gateway.model.management_tokens import ADMIN, READ
from fengling_gateway.records.search import LOOKED_AT_ONCE
from tests.management.fake_gateway import NOW, FakeGateway, json_of, resource, token
from tests.management.raw_http import Answer, ask_raw
from tests.records.test_ring import attempts, document


@pytest.fixture
def gateway() -> FakeGateway:
    """One that keeps four exchanges, each a minute newer than the one before."""
    gateway = FakeGateway()
    owns = {"tenant_id": "acme"}
    for key, fields in ((Key("instance", "own"), owns), (Key("route", "own-r"), owns)):
        gateway.served[key] = canonical({"id": key.id, "policies": {}, **fields})
    several: list[dict[str, Any]] = [
        {"tenant": "acme", "attempts": attempts("own"), "route": "own-r"},
        {"tenant": "acme", "attempts": attempts("shared"), "route": "shared-r"},
        {"tenant": "brix", "attempts": attempts("own", "shared"), "kind": "slow", "error": None},
        {"status": 404, "error": "no_route", "attempts": [], "route": None, "service": None},
    ]
    for number, different in enumerate(several):
        usual = {"error": "connect_failed", "status": 502}
        at = NOW - 60 * (len(several) - number)
        gateway.ring.add(document(number, at=at, **{**usual, **different}))
    gateway.ring.leave_out({"no_route": 40}, NOW)
    return gateway


def ask(
    gateway: FakeGateway, path: str, *, tenants: Sequence[str] | None = None, scope: str = READ
) -> Answer:
    clock = Clock()
    bearer = b"Authorization: Bearer " + token(scope, tenants=tenants).encode()
    root = resource(gateway, clock)
    return ask_raw(root, f"/api/gateway/{path}".encode(), headers=(bearer,), clock=clock)


def ids(gateway: FakeGateway, query: str, **more: Any) -> list[str]:
    answer = ask(gateway, f"errors?{query}", **more)
    assert answer.status == 200, answer.body
    found = json_of(answer.body)
    assert found["count"] == sum(one["count"] for one in found["summary"])
    return [one["request_id"] for one in found["items"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "3210"),
        ("since=3m", "321"),
        ("since=150s&until=90.5s", "2"),
        (f"since={NOW - 61}", "3"),
        ("error=no_route", "3"),
        ("status=5xx", "210"),
        ("status=404", "3"),
        ("route=own-r", "0"),
        ("service=shop", "210"),
        ("instance=own", "20"),
        ("kind=slow", "2"),
        ("fault=client", "3"),
        ("error=no_route&service=shop", ""),
        ("limit=2", "32"),
        ("limit=2&after=3", "10"),
    ],
)
def test_those_that_are_asked_for_are_found(gateway: FakeGateway, query: str, found: str) -> None:
    """Newest first."""
    assert ids(gateway, query) == [f"r-{number}" for number in found]


def test_answer_says_whose_fault_it_was(gateway: FakeGateway) -> None:
    """With what it means, how often it was, and how much there is."""
    answer = json_of(ask(gateway, "errors?error=connect_failed").body)
    assert answer["items"][0]["fault"] == "instance"
    assert answer["items"][0]["means"] == "The instance could not be reached."
    assert {one["instance"] for one in answer["summary"]} == {"own", "shared"}
    own = next(one for one in answer["summary"] if one["instance"] == "own")
    assert (own["count"], own["first_at"], own["last_at"]) == (1, NOW - 240, NOW - 240)
    assert (own["newest"], own["routes"], own["service"]) == ("r-0", ["own-r"], "shop")
    assert answer["ring"]["kept"] == 4
    assert answer["left_out"] == {"no_route": 40}


def test_who_asked_is_for_admins(gateway: FakeGateway) -> None:
    """A viewer is told what failed, and not for whom."""
    for path in ("errors?limit=1", "exchanges/r-3"):
        [admins] = json_of(ask(gateway, path, scope=ADMIN).body)["items"]
        [viewers] = json_of(ask(gateway, path).body)["items"]
        assert (admins["client"], admins["target"]) == ("198.51.100.7", "/orders?id=7")
        assert (viewers["client"], viewers["target"]) == (None, "/orders")


def test_looking_through_many_lets_others_take_their_turn(gateway: FakeGateway) -> None:
    """A full ring does not keep the reactor."""
    for number in range(LOOKED_AT_ONCE):
        gateway.ring.add(document(number, at=NOW))
    assert len(ids(gateway, "limit=1000")) == LOOKED_AT_ONCE + 4


@pytest.mark.parametrize(
    "query",
    [
        *("since=yesterday", "since=-5", "since=1e9", "until=10y", "error=No", "status=99"),
        *("status=xxx", "kind=fast", "fault=mine", "route=", "instance=a/b", "after=-1", "limit=0"),
        *("limit=1001", "tenant=acme", "since=1m&since=2m", f"after={10**16}"),
    ],
)
def test_what_makes_no_sense_is_refused(gateway: FakeGateway, query: str) -> None:
    """Nothing is ignored in silence."""
    answer = ask(gateway, f"errors?{query}")
    assert (answer.status, json_of(answer.body)["code"]) == (422, "invalid_parameter")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "10"),
        ("route=own-r", "0"),
        ("instance=own", "0"),
        ("route=shared-r", ""),
        ("instance=shared", ""),
        ("service=shop", ""),
        ("error=no_route", ""),
    ],
)
def test_a_tenants_token_finds_what_is_the_tenants(
    gateway: FakeGateway, query: str, found: str
) -> None:
    """And can't find out by asking what is behind the gateway and not theirs."""
    assert ids(gateway, query, tenants=["acme"]) == [f"r-{number}" for number in found]


def test_a_tenant_sees_nothing_of_others(gateway: FakeGateway) -> None:
    """Neither their instances and routes nor how much there is of them."""
    answer = ask(gateway, "errors", tenants=["acme"])
    text = answer.body.decode()
    assert "shared" not in text
    assert 'shop"' not in text
    assert "brix" not in text
    found = json_of(answer.body)
    assert (found["ring"], found["left_out"], found["count"]) == (None, None, 2)


def test_an_exchange_is_found_by_its_id(gateway: FakeGateway) -> None:
    """All of them that have it; one that no path can have is asked for in the query."""
    gateway.ring.add(document(0, status=418))
    assert len(json_of(ask(gateway, "exchanges/r-0").body)["items"]) == 2
    gateway.ring.add(document(request_id="a/b%20?c"))
    assert ids(gateway, "request_id=a%2Fb%2520%3Fc") == ["a/b%20?c"]


def test_an_exchange_that_is_not_there_may_be_explained(gateway: FakeGateway) -> None:
    """By how far back what is kept goes, and what was left out."""
    answer = ask(gateway, "exchanges/nowhere")
    said = json_of(answer.body)
    assert (answer.status, said["code"]) == (404, "not_kept")
    assert said["ring"]["oldest_at"] == NOW - 240
    assert said["left_out"] == {"no_route": 40}


def test_of_anothers_exchange_nothing_is_told(gateway: FakeGateway) -> None:
    """The answer is that for what does not exist; the audit trail knows better."""
    clock = Clock()
    root = resource(gateway, clock)

    def get(path: str, tenants: Sequence[str] | None, scope: str = READ) -> Any:
        bearer = b"Authorization: Bearer " + token(scope, tenants=tenants).encode()
        same = b"X-Request-Id: same"
        return ask_raw(root, f"/api/gateway/{path}".encode(), headers=(bearer, same), clock=clock)

    nowhere, anothers = (get(f"exchanges/{name}", ["acme"]) for name in ("nowhere", "r-2"))
    assert (anothers.status, anothers.body) == (404, nowhere.body)
    assert b"ring" not in nowhere.body
    [own] = json_of(get("exchanges/r-1", ["acme"]).body)["items"]
    assert own["attempts"] == [dict.fromkeys(("instance", "address", "error"))]
    [refusal] = json_of(get("audit", None, ADMIN).body)["items"]
    assert (refusal["what"], refusal["outcome"]) == (
        "GET /api/gateway/exchanges/r-2",
        "other_tenant",
    )
