"""Consoles that follow a cluster, and gateways that serve what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.kubernetes.resources import ENDPOINT_SLICES, SERVICES
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
    wait_until(lambda: fleet.result().get("state") == "served")
    assert fleet.result()["service_id"] == "shop.orders"
    fleet.decide("rejected")
    wait_until(lambda: gateway.get("/hello")[0] == 404)
    wait_until(lambda: fleet.instances() == {})
    wait_until(lambda: fleet.result()["state"] == "removed")


def test_endpoints_are_followed(fleet: Followed) -> None:
    """New ones join, those that end drain, those that are gone go, and others' rows stay."""
    gateway = fleet.gateway()
    one, two = (port_of(fleet.upstream(name).address) for name in ("v1", "v2"))
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=one)
    fleet.following(approve=["shop/*"])
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    fleet.endpoints(endpoint("127.0.0.1", pod="b"), port=two, suffix="more")
    wait_until(lambda: names(gateway) == {"v1", "v2"})
    ending = endpoint("127.0.0.1", pod="a", ready=False, terminating=True)
    fleet.endpoints(ending, port=one)
    wait_until(lambda: names(gateway) == {"v2"})
    assert sorted(fleet.instances().values()) == ["drain", "ready"]
    fleet.endpoints(port=one)
    wait_until(lambda: list(fleet.instances().values()) == ["ready"])
    history = "SELECT author || ': ' || comment FROM fengling.revision ORDER BY id DESC LIMIT 1"
    assert fleet.sql.value(history) == "kubernetes: shop/orders: 1 instance gone"


def test_what_people_change_stays_apart(fleet: Followed) -> None:
    """A drained pod stays drained, a policy stays; somebody's own rows are left alone and told of."""
    v1 = port_of(fleet.upstream("v1").address)
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=v1)
    fleet.following(approve=["shop/*"])
    wait_until(lambda: fleet.instances() != {})
    fleet.sql.run("UPDATE fengling.instance SET state = 'drain', weight = 7")
    fleet.sql.run('UPDATE fengling.route SET policies = \'{"retry": {"attempts": 1}}\'')
    fleet.endpoints(endpoint("127.0.0.1", pod="a", zone="b"), port=v1)
    query = "SELECT state || weight || zone FROM fengling.instance"
    wait_until(lambda: fleet.sql.value(query) == "drain7b")
    fleet.service(annotations={"path": "/hello", "priority": "3"})
    wait_until(lambda: fleet.sql.value("SELECT priority FROM fengling.route") == 3)
    assert fleet.sql.value("SELECT policies -> 'retry' ->> 'attempts' FROM fengling.route") == "1"
    fleet.sql.run("UPDATE fengling.route SET managed_by = 'ui'")
    fleet.service(annotations={"path": "/hello", "priority": "4"})
    wait_until(lambda: "managed by ui" in str(fleet.result().get("problems")))
    assert fleet.sql.value("SELECT priority FROM fengling.route") == 3


def test_what_somebody_takes_away_comes_back(fleet: Followed) -> None:
    """Instances are what the cluster says, also after somebody has gone back to an older revision."""
    v1 = port_of(fleet.upstream("v1").address)
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=v1)
    fleet.following(approve=["shop/*"])
    wait_until(lambda: fleet.instances() != {})
    before = fleet.instances()
    fleet.sql.run("DELETE FROM fengling.instance")
    wait_until(lambda: fleet.instances() == before)
    fleet.sql.run("UPDATE fengling.instance SET address = 'http://127.0.0.1:1'")
    wait_until(lambda: fleet.instances() == before)
    fleet.sql.run(
        "INSERT INTO fengling.instance (id, service_id, address, managed_by)"
        " VALUES ('shop.orders_old', 'shop.orders', 'http://127.0.0.1:2', 'kubernetes')"
    )
    wait_until(lambda: fleet.instances() == before)


def test_nothing_is_taken_away_while_the_api_server_is_gone(fleet: Followed) -> None:
    """Nor when it comes back with other versions; then what there is counts, exactly."""
    gateway = fleet.gateway()
    one, two = (port_of(fleet.upstream(name).address) for name in ("v1", "v2"))
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=one)
    console = fleet.following(approve=["shop/*"])
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    before = fleet.instances()
    fleet.api.stop()

    def problem() -> object:
        status = fleet.sql.value("SELECT status FROM fengling.discovery")
        assert isinstance(status, dict)
        return status.get("resources") and status["resources"][0]["problem"]

    wait_until(problem)
    assert fleet.instances() == before
    assert names(gateway) == {"v1"}
    fleet.endpoints(endpoint("127.0.0.1", pod="b"), port=two)
    console.kill()
    fleet.following(approve=["shop/*"], token_file=str(fleet.directory / "token"))
    wait_until(problem, timeout=30)
    assert fleet.instances() == before
    fleet.api.start(set_back=True)
    wait_until(lambda: names(gateway) == {"v2"}, timeout=40)
    assert list(fleet.instances().values()) == ["ready"]


def test_another_console_follows_when_one_dies(fleet: Followed) -> None:
    """From where the first one was, without a revision for what is so already."""
    v1 = port_of(fleet.upstream("v1").address)
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=v1)
    first = fleet.following(approve=["shop/*"])
    wait_until(lambda: fleet.instances() != {})
    fleet.following(approve=["shop/*"])
    revision = fleet.sql.revision
    first.kill()
    wait_until(lambda: fleet.sql.value("SELECT holder FROM fengling.discovery") == "c2", timeout=30)
    wait_until(lambda: fleet.sql.value("SELECT status ->> 'is_synced' FROM fengling.discovery"))
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), endpoint("127.0.0.2", pod="b"), port=v1)
    wait_until(lambda: len(fleet.instances()) == 2)
    assert fleet.sql.revision == revision + 1


def test_most_routes_go_only_when_somebody_confirms_it(fleet: Followed) -> None:
    """Until then they are served as before, and everything else follows the cluster on."""
    gateway = fleet.gateway()
    one, two = (port_of(fleet.upstream(name).address) for name in ("v1", "v2"))
    for name in ("orders", "stock", "carts"):
        fleet.service(name, annotations={"path": f"/{name}"})
        fleet.endpoints(endpoint("127.0.0.1", pod=name), name=name, port=one)
    console = fleet.following(approve=["shop/*"])
    for name in ("orders", "stock", "carts"):
        wait_until(lambda name=name: gateway.get(f"/{name}")[0] == 200)
    for name in ("orders", "stock"):
        fleet.api.delete(ENDPOINT_SLICES, "shop", f"{name}-x7k2p")
        fleet.api.delete(SERVICES, "shop", name)

    def removal() -> dict[str, Any]:
        status = console.get("kubernetes")["status"] or {}
        return dict((status.get("writing") or {}).get("removal") or {})

    wait_until(lambda: removal().get("routes") == 2)
    assert removal()["names"] == ["shop.orders", "shop.stock"]
    fleet.endpoints(endpoint("127.0.0.1", pod="carts-2"), name="carts", port=two)
    wait_until(lambda: json.loads(gateway.get("/carts")[1])["name"] == "v2")
    assert {gateway.get(f"/{name}")[0] for name in ("orders", "stock")} == {200}
    assert console.post("kubernetes/confirm", {"removal": "another"}).status == 409
    told = console.post("kubernetes/confirm?wait=result&timeout=10s", {"removal": removal()["id"]})
    assert told.json["confirmed"]["state"] == "gone"
    for name in ("orders", "stock"):
        wait_until(lambda name=name: gateway.get(f"/{name}")[0] == 404)
    assert gateway.get("/carts")[0] == 200
    wait_until(lambda: len(fleet.instances()) == 1)


def test_cluster_that_has_lost_everything_is_served_as_it_was(fleet: Followed) -> None:
    """Instances included, whatever is listed first: its pods may be well."""
    gateway = fleet.gateway()
    v1 = port_of(fleet.upstream("v1").address)
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=v1)
    console = fleet.following(approve=["shop/*"])
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    before, revision = fleet.instances(), fleet.sql.revision
    fleet.api.stop()
    fleet.api.delete(ENDPOINT_SLICES, "shop", "orders-x7k2p")
    fleet.api.delete(SERVICES, "shop", "orders")
    fleet.api.start(set_back=True)

    def written() -> dict[str, Any]:
        status = console.get("kubernetes")["status"] or {}
        return dict(status.get("writing") or {})

    wait_until(lambda: written().get("removal"), timeout=60)
    wait_until(lambda: written()["withheld"] == 3)
    assert (fleet.instances(), fleet.sql.revision) == (before, revision)
    assert gateway.get("/hello")[0] == 200


def test_what_a_rule_approved_is_as_it_was_then_when_the_rule_is_gone(fleet: Followed) -> None:
    """What the Service asks for later waits for somebody."""
    gateway = fleet.gateway()
    v1 = port_of(fleet.upstream("v1").address)
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=v1)
    console = fleet.following(approve=["shop/*"])
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    wait_until(lambda: fleet.result().get("state") == "served")
    console.stop()
    fleet.service(annotations={"path": "/elsewhere"})
    fleet.following()
    wait_until(lambda: fleet.result().get("asks_for_more") is True)
    assert fleet.row()["approved"] == {"path": "/hello"}
    assert gateway.get("/hello")[0] == 200
    assert gateway.get("/elsewhere")[0] == 404
