"""What instances are told of who asks, and what whoever may not ask is told."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.conformance.client import Answer, request
from tests.conformance.judge import Request
from tests.conformance.scene import Scene
from tests.dataplane.snapshots import api_key, client, issuer, policies, route, setting, tenant
from tests.support.forge import AUDIENCE, ISSUER, claims, rsa_jwk, token

REQUIRED = {"mode": "required"}
EDITS = {"set": {"X-Set": "by the route"}, "add": {}, "remove": []}
ORIGIN = "https://shop.example"
KEY, KEY_ENTITY = api_key("k1", client_id="batch")
ENTITIES = [
    issuer(
        "corp",
        issuer=ISSUER,
        audiences=[AUDIENCE],
        keys={"keys": [rsa_jwk()]},
        headers={"X-Department": "department"},
    ),
    client("batch", tenant_id="acme", roles=["loader"]),
    KEY_ENTITY,
    tenant("acme"),
    route("private", "/private/{**rest}", policies=policies(auth=REQUIRED, request_headers=EDITS)),
    route("offered", "/offered/{**rest}", policies=policies(auth={"mode": "optional"})),
    route("scoped", "/scoped", policies=policies(auth={**REQUIRED, "scopes": ["orders:write"]})),
    route("nobody", "/nobody", policies=policies(access={"deny": ["127.0.0.0/8"]})),
    route("once", "/once", policies=policies(rate_limit={"rate": "1/d", "burst": 1})),
    route(
        "pages",
        "/pages",
        policies=policies(auth=REQUIRED, cors={"origins": [ORIGIN]}, security_headers={}),
    ),
    setting("identity_headers", {"roles": "X-Internal-Role"}),
]

IDENTITY = {
    b"x-tenant-id": b"acme",
    b"x-user-id": b"ada",
    b"x-user-name": b"Ada",
    b"x-internal-role": b"buyer",
    b"x-department": b"sales",
}
"""What the token below says, as instances are told."""


def adas(**changed: Any) -> bytes:
    """A token that is good now."""
    now = int(time.time())
    said = {"name": "Ada", "roles": ["buyer"], "tenant": "acme", "department": "sales", **changed}
    return token(claims(iat=now, exp=now + 300, **said))


def asking(*lines: bytes, target: bytes = b"/private/x", proof: bytes | None = None) -> bytes:
    proof = b"Authorization: Bearer " + adas() if proof is None else proof
    return request(proof, *lines, target=target)


def told(got: Request) -> list[tuple[bytes, bytes]]:
    """What an instance is told of who asks, as a server that knows no case and no dashes reads it."""
    headers = [(name.lower().replace(b"_", b"-"), value) for name, value in got.headers]
    return sorted(one for one in headers if one[0] in IDENTITY)


# Who asks


def test_verified_identity_is_told_once(scene: Scene) -> None:
    """By the configured headers; the token stays here."""
    got = scene.forwards(asking())
    assert told(got) == sorted(IDENTITY.items())
    assert got.one("Authorization") is None


@pytest.mark.parametrize(
    "names",
    [
        b"X-Tenant-Id, X-User-Id, X-User-Name, X-Internal-Role, X-Department",
        b"x-tenant-id, x_tenant_id, x-user-id, X_DEPARTMENT",
        b"Authorization, X-Set, X-Forwarded-For, X-Forwarded-Proto, X-Request-Id, Via, Host",
    ],
)
def test_connection_takes_no_verified_identity_away(scene: Scene, names: bytes) -> None:
    """Nor the token that it comes from, nor anything else that the gateway says."""
    got = scene.forwards(asking(b"Connection: close, " + names, b"X-User-Id: root"))
    assert told(got) == sorted(IDENTITY.items())
    assert got.one("X-Forwarded-For") == b"127.0.0.1"
    assert got.one("X-Set") == b"by the route"
    for name in ("X-Forwarded-Proto", "X-Request-Id", "Via", "Host"):
        assert got.one(name)


def test_connection_takes_no_key_away(scene: Scene) -> None:
    """An API key that is named hop-by-hop is no way to be somebody else."""
    lines = (b"X-Api-Key: " + KEY, b"Connection: close, X-User-Id, X-Tenant-Id")
    got = scene.forwards(request(*lines, target=b"/private/x"))
    assert told(got) == [
        (b"x-internal-role", b"loader"),
        (b"x-tenant-id", b"acme"),
        (b"x-user-id", b"batch"),
    ]
    assert got.one("X-Api-Key") is None
    named = (b"X-Api-Key: " + KEY, b"Connection: close, X-Api-Key")
    assert scene.ask(request(*named, target=b"/private/x")).status in {200, 401}


# Who may not ask


REFUSALS = [
    (b"/private/<script>", (), 401, "unauthorized"),
    (b"/private/x?<script>", (b"Authorization: Bearer <script>",), 401, "invalid_token"),
    (b"/private/x", (b"Authorization: Bearer a.b.<script>",), 401, "invalid_token"),
    (b"/private/x", (b"X-Api-Key: fgk_<script>_x",), 401, "invalid_token"),
    (b"/scoped?<script>", "ada", 403, "insufficient_scope"),
    (b"/private/x", ("ada", b"X-Tenant-Id: <script>"), 403, "tenant_mismatch"),
    (b"/nobody?<script>", (b"X-Forwarded-For: <script>",), 403, "address_denied"),
    (b"/pages?<script>", (b"Origin: https://<script>",), 401, "unauthorized"),
    (b"/pages?<script>", (b"Origin: https://script.example",), 401, "unauthorized"),
]


def refusal(scene: Scene, target: bytes, lines: Any) -> Answer:
    given = (lines,) if lines == "ada" else lines
    proof = b"Authorization: Bearer " + adas()
    return scene.ask(request(*(proof if one == "ada" else one for one in given), target=target))


@pytest.mark.parametrize(("target", "lines", "status", "code"), REFUSALS)
def test_refusals_reflect_nothing(
    scene: Scene, target: bytes, lines: Any, status: int, code: str
) -> None:
    """Neither what was asked for, nor the credentials, nor where it came from."""
    answer = refusal(scene, target, lines)
    assert (answer.status, answer.code) == (status, code)
    assert answer.one("X-Content-Type-Options") == b"nosniff"
    whole = answer.body + b"".join(name + value for name, value in answer.headers)
    assert b"script" not in whole
    assert b"127.0.0.1" not in whole
    assert scene.instance.requests == []


def test_limit_reflects_nothing(scene: Scene) -> None:
    """429, with when to come back."""
    scene.ask(request(target=b"/once"))
    answer = scene.ask(request(b"X-Api-Key: <script>", target=b"/once?<script>"))
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert answer.one("X-Content-Type-Options") == b"nosniff"
    assert int(answer.one("Retry-After") or 0) > 0
    whole = answer.body + b"".join(name + value for name, value in answer.headers)
    assert b"script" not in whole
