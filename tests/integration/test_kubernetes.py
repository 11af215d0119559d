"""Consoles that follow a cluster, and gateways that serve what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.cluster import Followed, followed_cluster
from tests.integration.gateway import GatewayProcess
from tests.support.kubernetes_objects import endpoint
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def fleet(
    postgres: PostgresServer, _migrated_template: str, own_valkey: ValkeyServer, tmp_path: Path
) -> Iterator[Followed]:
    with followed_cluster(postgres, _migrated_template, tmp_path, own_valkey.url) as fleet:
        yield fleet


def port_of(address: str) -> int:
    port = urlsplit(address).port
    assert port is not None
    return port


def names(gateway: GatewayProcess) -> set[str]:
    """Return who answers a dozen clients, all of whom have to be answered."""
    answers = [gateway.get("/hello") for _ in range(12)]
    assert {status for status, _ in answers} == {200}
    return {json.loads(body)["name"] for _, body in answers}


def test_service_is_served_once_it_is_approved(fleet: Followed) -> None:
    """Pending at first; then a service, a route and its instances; rejected, nothing of it is left."""
    gateway = fleet.gateway()
    v1 = port_of(fleet.upstream("v1").address)
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="orders-1"), port=v1)
    fleet.following()
    wait_until(lambda: fleet.row().get("state") == "pending")
    assert fleet.row()["offer"]["instances"] == {"ready": 1}
    assert gateway.get("/hello")[0] == 404
    fleet.decide("approved")
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    assert names(gateway) == {"v1"}
    wait_until(lambda: (fleet.row()["result"] or {}).get("state") == "served")
    assert fleet.row()["result"]["service_id"] == "shop.orders"
    fleet.decide("rejected")
    wait_until(lambda: gateway.get("/hello")[0] == 404)
    wait_until(lambda: fleet.instances() == {})
    wait_until(lambda: fleet.row()["result"]["state"] == "removed")
