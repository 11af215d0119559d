"""Tokens that are limited to tenants: what is another's is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.task import Clock

from fengling_gateway.access.gate import Gate
from fengling_gateway.management.listing import KINDS
from fengling_gateway.management.openapi import document
from fengling_gateway.model.entity import Key, canonical
from fengling_gateway.model.management_tokens import ADMIN, READ
from tests.management.fake_gateway import ROUTE, FakeGateway, json_of, resource, token
from tests.management.raw_http import Answer, ask_raw

_OF = {"a": "acme", "b": "brix"}


def bodies() -> dict[Key, bytes]:
    """Of each kind one of tenant acme, one of brix, and one of nobody where there can be one."""
    found: dict[Key, dict[str, Any]] = {}
    for name, tenant in (*_OF.items(), ("n", None)):
        for kind in ("route", "instance", "client"):
            found[Key(kind, f"{kind}-{name}")] = {
                **ROUTE,
                "tenant_id": tenant,
                "address": "http://a",
            }
        found[Key("api_key", f"k-{name}")] = {"client_id": f"client-{name}", "digest": "0" * 64}
        tenants = None if tenant is None else [tenant]
        found[Key("management_token", f"m-{name}")] = {"tenants": tenants, "revoked_at": None}
        if tenant:
            found[Key("tenant", tenant)] = {}
    # What only looks like acme's.
    liar = {"tenant_id": None, "policies": {"x-any": {"tenant_id": "acme"}}}
    found[Key("route", "route-liar")] = liar
    found[Key("management_token", "m-both")] = {"tenants": ["acme", "brix"], "revoked_at": None}
    found[Key("service", "orders")] = {}
    found[Key("setting", "defaults")] = {"value": {}}
    return {key: canonical({"id": key.id, **fields}) for key, fields in found.items()}


VISIBLE = {
    "routes": ["route-a"],
    "instances": ["instance-a"],
    "clients": ["client-a"],
    "api_keys": ["k-a"],
    "tokens": ["m-a"],
    "tenants": ["acme"],
}


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.served = bodies()
    return gateway


def ask(
    root: Gate, path: str, *headers: bytes, tenants: Sequence[str] | None = ("acme",), **more: Any
) -> Answer:
    bearer = b"Authorization: Bearer " + token(ADMIN, tenants=tenants).encode()
    return ask_raw(root, f"/api/gateway/{path}".encode(), headers=(bearer, *headers), **more)


def said(answer: Any) -> dict[bytes, bytes]:
    """The headers of an answer but for the time, which passes."""
    return {name: value for name, value in answer.headers.items() if name.lower() != b"date"}


@pytest.mark.parametrize("name", KINDS)
def test_list_has_what_is_the_tenants(gateway: FakeGateway, name: str) -> None:
    """Nothing of others, and nothing of nobody's."""
    answer = ask(resource(gateway), name)
    assert answer.status == 200
    assert [one["id"] for one in json_of(answer.body)["items"]] == VISIBLE.get(name, [])


@pytest.mark.parametrize("name", KINDS)
def test_what_is_anothers_is_not_there(gateway: FakeGateway, name: str) -> None:
    """The answer is to the letter that for what does not exist."""
    root = resource(gateway)
    same = b"X-Request-Id: same"
    nowhere = ask(root, f"{name}/nowhere", same)
    assert nowhere.status == 404
    for key in gateway.served:
        if key.kind == KINDS[name]:
            answer = ask(root, f"{name}/{key.id}", same)
            expected = 200 if key.id in VISIBLE.get(name, []) else 404
            assert (key, answer.status) == (key, expected)
            if expected == 404:
                assert (answer.body, said(answer)) == (nowhere.body, said(nowhere))


def test_pages_of_a_tenant_are_whole(gateway: FakeGateway) -> None:
    """However much of others' is in between, and it ends where the tenant's ends."""
    for number in range(3000):
        tenant = "acme" if number % 300 == 0 else "brix"
        gateway.served[Key("route", f"r{number:04}")] = canonical(
            {**ROUTE, "id": f"r{number:04}", "tenant_id": tenant}
        )
    clock = Clock()
    root = resource(gateway, clock)
    found: list[str] = []
    path = "routes?limit=4"
    for _ in range(3):
        page = json_of(ask(root, path, clock=clock).body)
        found += [one["id"] for one in page["items"]]
        path = f"routes?limit=4&after={page['next']}"
    assert found == [*(f"r{number:04}" for number in range(0, 3000, 300)), "route-a"]
    assert page["next"] is None


def test_rejection_of_anothers_is_not_told(gateway: FakeGateway) -> None:
    """Nor of the tenant's own: nobody knows whose it was meant to be."""
    gateway.rejections = [{"kind": "route", "id": "bad", "problems": [{"message": "no"}]}]
    assert b"problems" not in ask(resource(gateway), "routes/bad").body
    assert b"problems" in ask(resource(gateway), "routes/bad", tenants=None).body


def test_what_is_about_the_whole_gateway_is_refused(gateway: FakeGateway) -> None:
    """Every operation of the document that is no list or entity; the document itself is for all."""
    root = resource(gateway)
    refused = set()
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            if "security" in operation:
                continue
            answer = ask(
                root,
                path.removeprefix("/api/gateway/").replace("{id}", "x"),
                b"Content-Type: application/json",
                method=method.upper().encode(),
                body=b'{"revision": 1}' if method == "post" else b"",
            )
            if answer.status == 403:
                refused.add(path.removeprefix("/api/gateway/"))
    assert refused == {
        *("status", "workers", "names", "rejected", "audit", "traffic/routes"),
        *("reload", "confirm", "explain", "drain", "restart", "pin", "unpin", "debug"),
    }
    assert gateway.asked == []


def test_tenant_of_the_header_narrows(gateway: FakeGateway) -> None:
    """Who looks after several, or all, says which one is meant."""
    root = resource(gateway)
    for tenants in (None, ["acme", "brix"]):
        for tenant, name in (("acme", "route-a"), ("brix", "route-b")):
            header = b"X-Tenant-Id: " + tenant.encode()
            items = json_of(ask(root, "routes", header, tenants=tenants).body)["items"]
            assert [one["id"] for one in items] == [name]


@pytest.mark.parametrize(
    "headers",
    [
        (b"X-Tenant-Id: brix",),
        (b"X-Tenant-Id: ",),
        (b"X-Tenant-Id: acme, brix",),
        (b"X-Tenant-Id: acme", b"X-Tenant-Id: acme"),
        (b"X-Tenant-Id: \xff",),
    ],
)
def test_tenant_of_the_header_can_not_widen(
    gateway: FakeGateway, headers: tuple[bytes, ...]
) -> None:
    """Another tenant than the credential's, or something that names none, is 403."""
    answer = ask(resource(gateway), "routes", *headers)
    assert (answer.status, json_of(answer.body)["code"]) == (403, "tenant_mismatch")


def test_attempts_at_what_is_anothers_are_on_record(gateway: FakeGateway) -> None:
    """The answer doesn't tell, but the audit trail does."""
    root = resource(gateway)
    ask(root, "routes/route-b")
    ask(root, "routes/nowhere")
    ask(root, "status")
    items = json_of(ask(root, "audit", tenants=None).body)["items"]
    assert [(one["what"], one["outcome"], one["who"]["tenants"]) for one in items] == [
        ("GET /api/gateway/status", "forbidden", ["acme"]),
        ("GET /api/gateway/routes/route-b", "other_tenant", ["acme"]),
    ]


def test_tokens_and_the_trail_are_for_admins(gateway: FakeGateway) -> None:
    """Who holds which credentials helps whoever looks for one."""
    bearer = (b"Authorization: Bearer " + token(READ).encode(),)
    for path in (b"tokens", b"tokens/m-a", b"audit"):
        answer = ask_raw(resource(gateway), b"/api/gateway/" + path, headers=bearer)
        assert (answer.status, json_of(answer.body)["code"]) == (403, "insufficient_scope")
