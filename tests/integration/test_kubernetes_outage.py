"""A cluster whose API server is gone for as long as operators fear."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.kubernetes.resources import ENDPOINT_SLICES, SERVICES
from tests.integration.cluster import Followed, followed_cluster
from tests.support.kubernetes_objects import endpoint
from tests.support.wait import wait_until

OUTAGE_SECONDS = 600.0


@pytest.fixture
def fleet(
    postgres: PostgresServer, _migrated_template: str, own_valkey: ValkeyServer, tmp_path: Path
) -> Iterator[Followed]:
    with followed_cluster(postgres, _migrated_template, tmp_path, own_valkey.url) as fleet:
        yield fleet


@pytest.mark.slow
@pytest.mark.timeout(OUTAGE_SECONDS + 300)
def test_ten_minutes_without_an_api_server_take_nothing_away(fleet: Followed) -> None:
    """No revision, no failed request; then it is back with other versions, and all is exact."""
    gateway = fleet.gateway()
    port = urlsplit(fleet.upstream("v1").address).port
    assert port is not None
    for name in ("orders", "stock", "carts"):
        fleet.service(name, annotations={"path": f"/{name}"})
        fleet.endpoints(endpoint("127.0.0.1", pod=name), name=name, port=port)
    fleet.following(approve=["shop/*"])
    for name in ("orders", "stock", "carts"):
        wait_until(lambda name=name: gateway.get(f"/{name}")[0] == 200)
    wait_until(lambda: fleet.result("carts").get("state") == "served")
    revision = fleet.sql.revision
    fleet.api.stop()
    fleet.api.delete(SERVICES, "shop", "stock")
    fleet.api.delete(ENDPOINT_SLICES, "shop", "stock-x7k2p")
    fleet.endpoints(
        endpoint("127.0.0.1", pod="orders-2"), endpoint("127.0.0.2", pod="orders-3"),
        name="orders", port=port,
    )  # fmt: skip
    fleet.service("mail", annotations={"path": "/mail"})
    fleet.endpoints(endpoint("127.0.0.1", pod="mail"), name="mail", port=port)
    began = time.monotonic()
    answered: set[int] = set()

    def is_over() -> bool:
        answered.update(gateway.get(f"/{name}")[0] for name in ("orders", "stock", "carts"))
        return time.monotonic() - began >= OUTAGE_SECONDS

    wait_until(is_over, timeout=OUTAGE_SECONDS + 60, interval=2)
    assert answered == {200}
    assert fleet.sql.revision == revision
    fleet.api.start(set_back=True)
    wait_until(lambda: gateway.get("/mail")[0] == 200, timeout=60)
    wait_until(lambda: gateway.get("/stock")[0] == 404, timeout=60)
    pods = ["shop.carts_carts", "shop.mail_mail", "shop.orders_orders-2", "shop.orders_orders-3"]
    query = "SELECT jsonb_agg(id ORDER BY id) FROM fengling.instance"
    wait_until(lambda: fleet.sql.value(query) == pods)
