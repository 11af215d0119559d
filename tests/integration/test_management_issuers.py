"""People who manage gateways by tokens of their company's issuer, with real processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway import GatewayProcess
from tests.support.forge import claims, rsa_jwk, rsa_key, token
from tests.support.issuer_server import IssuerServer
from tests.support.wait import wait_until

OURS = "fengling-management"


@pytest.fixture
def server() -> Iterator[IssuerServer]:
    server = IssuerServer()
    server.publish(rsa_jwk())
    yield server
    server.stop()


def of(server: IssuerServer, *, kid: str = "k1", number: int = 0, **changed: Any) -> str:
    now = int(time.time())
    usual = {"aud": OURS, "scope": "gateway:read", "iat": now, "exp": now + 300}
    body = claims(iss=server.address, **{**usual, **changed})
    return token(body, key=rsa_key(number=number) if number else rsa_key(), kid=kid).decode()


def test_key_just_published_is_fetched_for_who_manages(
    tmp_path: Path, gateways: Callable[..., GatewayProcess], server: IssuerServer
) -> None:
    """By the supervisor itself: no request to a route has to come first. Down, it keeps them."""
    issuer = {"id": "corp", "issuer": server.address, "jwks_url": server.url, "audiences": ["api"]}
    file = tmp_path / "routes.yaml"
    file.write_text(json.dumps({"issuers": [{**issuer, "refresh": "1d"}], "routes": []}))
    gateway = gateways(
        source="file",
        worker_count=1,
        settings={"file": {"path": str(file)}, "management": {"issuers": ["corp"]}},
    )
    gateway.wait_ready()

    def status(credential: str) -> int:
        found, _ = gateway.get(
            "/api/gateway/status",
            port=gateway.management_port,
            headers={"Authorization": f"Bearer {credential}"},
        )
        return found

    wait_until(lambda: status(of(server)) == 200)
    server.publish(rsa_jwk(rsa_key(number=1), kid="k2"))
    wait_until(lambda: status(of(server, kid="k2", number=1)) == 200, timeout=60)
    server.stop()
    assert status(of(server, kid="k2", number=1)) == 200
    assert status(of(server)) in {401, 429}, "its key is published no more"
    assert status(of(server, kid="k2", number=1, aud="api")) in {401, 429}
