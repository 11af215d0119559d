"""A gateway process with something of every kind, and everybody who may not manage it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fengling_gateway.auth.tokens import TokenRing, unverified_claims
from fengling_gateway.model.management_tokens import ADMIN, READ, SCOPES, WRITE
from tests.integration.gateway import TOKEN_KEY, GatewayProcess
from tests.support.forge import ISSUER, claims, ec_jwk, ec_key, rsa_jwk, rsa_key
from tests.support.forge import token as forged
from tests.support.issued import SEALED, SHOP

REVOKED: Final = "revoked-1"
OURS: Final = "fengling-management"
OTHER_KEY: Final = "k1:" + bytes(range(32, 64)).hex()

ENTITIES: Final[dict[str, Any]] = {
    "settings": {"trusted_proxies": ["10.0.0.0/8"]},
    "tenants": [{"id": "acme", "hosts": ["acme.example"]}, {"id": "brix"}],
    "secrets": [{"id": "shop-key", "value": SEALED}],
    "certificates": [{"id": "shop", "chain": SHOP.chain, "key_secret": "shop-key"}],
    "issuers": [
        {
            "id": "corp",
            "issuer": ISSUER,
            "audiences": ["fengling-api"],
            "keys": {"keys": [rsa_jwk()]},
        },
        {
            "id": "stranger",
            "issuer": f"{ISSUER}/stranger",
            "audiences": [OURS],
            "keys": {"keys": [ec_jwk(kid="e1")]},
        },
    ],
    "clients": [{"id": "ci", "tenant_id": "acme"}, {"id": "cd"}],
    "api_keys": [{"id": "k7", "client_id": "ci", "digest": "0" * 64}],
    "services": [{"id": "orders", "instances": [{"id": "i1", "address": "http://10.0.0.5"}]}],
    "instances": [
        {"id": "i2", "service_id": "orders", "tenant_id": "brix", "address": "http://10.0.0.6"}
    ],
    "routes": [
        {"id": "orders", "path": "/orders/**", "service_id": "orders"},
        {"id": "of-acme", "tenant_id": "acme", "path": "/a", "service_id": "orders"},
        {"id": "of-brix", "tenant_id": "brix", "path": "/b", "service_id": "orders"},
    ],
    "management_tokens": [
        {"id": REVOKED, "revoked_at": "2026-01-01T00:00:00Z"},
        {"id": "of-acme", "tenants": ["acme"]},
        {"id": "of-brix", "tenants": ["brix"]},
    ],
}


@contextmanager
def managed(directory: Path) -> Iterator[GatewayProcess]:
    """Run it, with issuer ``corp`` believed and ``stranger`` not."""
    file = directory / "entities.yaml"
    file.write_text(json.dumps(ENTITIES))
    gateway = GatewayProcess(
        directory=directory / "n1",
        source="file",
        worker_count=1,
        settings={"file": {"path": str(file)}, "management": {"issuers": ["corp"]}},
    )
    gateway.start()
    try:
        gateway.wait_ready()
        assert gateway.manage("status")["rejected"] == []
        yield gateway
    finally:
        gateway.stop()


def local(*scopes: str, key: str = TOKEN_KEY, ago: float = 0, **terms: Any) -> str:
    """A token of ours, for an hour, made some seconds ago."""
    return TokenRing([key]).issue(
        subject="ops",
        scopes=scopes or (READ,),
        now=time.time() - ago,
        lifetime_seconds=3600,
        **{"token_id": "t1", **terms},
    )


def of_issuer(**changed: Any) -> str:
    """A token of the issuer that is believed, as an admin's."""
    usual = {"aud": OURS, "scope": ADMIN, "iat": int(time.time()), "exp": int(time.time()) + 300}
    return forged(claims(**{**usual, **changed}), key=rsa_key()).decode()


def of_stranger() -> str:
    """A token of an issuer of the configuration that the settings do not name."""
    now = int(time.time())
    body = claims(iss=f"{ISSUER}/stranger", aud=OURS, scope=ADMIN, iat=now, exp=now + 300)
    return forged(body, key=ec_key(), algorithm="ES256", kid="e1").decode()


def tampered(good: str) -> str:
    """A token whose holder has made himself an admin."""
    head, _, signature = good.split(".")
    body = json.dumps({**unverified_claims(good)["claims"], "scope": ADMIN}).encode()
    return f"{head}.{base64.urlsafe_b64encode(body).rstrip(b'=').decode()}.{signature}"


def wrong_credentials() -> dict[str, str]:
    """Values of Authorization that nothing is answered to; empty: no such header."""
    good = local(ADMIN)
    tokens = {
        "expired": local(ADMIN, ago=3601),
        "foreign": local(ADMIN, key=OTHER_KEY),
        "tampered": tampered(local()),
        "without a signature": good.rpartition(".")[0] + ".",
        "padded": good + "=",
        "revoked": local(ADMIN, token_id=REVOKED),
        "of an issuer, expired": of_issuer(exp=int(time.time()) - 60),
        "of an issuer, for a route": of_issuer(aud="fengling-api"),
        "of an issuer, without a scope": of_issuer(scope="openid"),
        "of an issuer, of an unclear tenant": of_issuer(tenant=""),
        "of an issuer that is not believed": of_stranger(),
        "empty": "",
    }
    return {
        "none": "",
        "another scheme": f"Basic {base64.b64encode(b'admin:admin').decode()}",
        **{name: f"Bearer {token}" for name, token in tokens.items()},
    }


def weaker(scope: str) -> str | None:
    """The strongest scope that does not allow what this one does; None if there is none."""
    at = SCOPES.index(scope)
    return SCOPES[at - 1] if at else None


def operations(gateway: GatewayProcess) -> list[tuple[str, str, str]]:
    """Every operation of the document that the gateway serves: method, path, the scope it needs."""
    found = []
    for path, methods in gateway.manage("openapi.json")["paths"].items():
        for method, operation in methods.items():
            if operation.get("security") != []:
                scope = operation["description"].partition("`")[2].partition("`")[0]
                assert scope in SCOPES
                found.append((method.upper(), path.replace("{id}", "orders"), scope))
    assert {scope for _, _, scope in found} == {READ, WRITE, ADMIN}
    return found


_BODIES = {
    "confirm": b'{"revision": 1}',
    "drain": b'{"on": false}',
    "tap": b'{"seconds": 1}',
}


def ask(
    gateway: GatewayProcess,
    method: str,
    path: str,
    credential: str,
    body: bytes | None = None,
    **headers: str,
) -> tuple[int, bytes]:
    """Send a request to the management API: status and body of the answer."""
    given = {"Authorization": credential} if credential else {}
    if method == "POST":
        body = _BODIES.get(path.rpartition("/")[2], b"{}") if body is None else body
        given["Content-Type"] = "application/json"
    status, _, content = gateway.fetch(
        path,
        port=gateway.management_port,
        method=method,
        headers={**given, **headers},
        body=body,
    )
    return status, content
