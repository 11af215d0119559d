"""Consoles that probe, gateways that serve by what they find out, and instances that die."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.embedded.ports import free_port
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.console import ConsoleProcess, Fleet, fleet_with_database
from tests.integration.gateway import GatewayProcess, Upstream
from tests.integration.world import metrics
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)

QUICK = {"interval": "300ms", "timeout": "250ms", "path": "/health"}
SELDOM = {"interval": "1h", "timeout": "1s", "path": "/health"}


@pytest.fixture
def fleet(
    postgres: PostgresServer, _migrated_template: str, own_valkey: ValkeyServer, tmp_path: Path
) -> Iterator[Fleet]:
    with fleet_with_database(postgres, _migrated_template, tmp_path, own_valkey.url) as fleet:
        yield fleet


class Two:
    """A service `v` of two instances, `v-1` and `v-2`; the second can be killed and come back."""

    def __init__(self, fleet: Fleet, check: dict[str, Any], **policies: Any) -> None:
        self.fleet = fleet
        self._port = free_port()
        self._second: Upstream | None = None
        sql = fleet.sql
        sql.run(
            "INSERT INTO fengling.service (id, health_check, policies) VALUES ('v', %s, %s)",
            json.dumps(check),
            json.dumps(policies),
        )
        instance = "INSERT INTO fengling.instance (id, service_id, address) VALUES (%s, 'v', %s)"
        sql.run(instance, "v-1", fleet.upstream("v1").address)
        sql.run(instance, "v-2", f"http://127.0.0.1:{self._port}")
        sql.add_route("hello", "/hello", "v")
        self.revive()

    def kill(self) -> None:
        assert self._second is not None
        self._second.close()
        self._second = None

    def revive(self) -> None:
        self._second = Upstream("v2", self._port)

    def close(self) -> None:
        if self._second is not None:
            self._second.close()

    def wait_for(self, second: str | None) -> None:
        """Wait until that is what is said of the second instance."""
        query = "SELECT health FROM fengling.instance_health WHERE instance_id = 'v-2'"
        wait_until(lambda: self.fleet.sql.value(query) == second, timeout=30)


def names(gateway: GatewayProcess) -> set[str]:
    """Return who answers a dozen clients, all of whom have to be answered."""
    answers = [gateway.get("/hello") for _ in range(12)]
    assert {status for status, _ in answers} == {200}
    return {json.loads(body)["name"] for _, body in answers}


def failed_connects(gateway: GatewayProcess) -> float:
    name = "fengling_upstream_connects_failed_total{"
    return sum(value for key, value in metrics(gateway).items() if key.startswith(name))


def probing(fleet: Fleet, **settings: Any) -> ConsoleProcess:
    return fleet.console(settings={"probes": {"enabled": True}}, **settings)


def prober(console: ConsoleProcess) -> dict[str, Any]:
    found: dict[str, Any] = console.get("health")["prober"]
    return found


def test_dead_instance_is_sent_nothing_until_it_is_healthy_again(fleet: Fleet) -> None:
    """By no worker, and with ejection switched off it is the probes that say so."""
    two = Two(fleet, QUICK, ejection=None)
    try:
        gateway = fleet.gateway()
        console = probing(fleet)
        two.wait_for("healthy")
        wait_until(lambda: names(gateway) == {"v1", "v2"})
        two.kill()
        two.wait_for("unhealthy")
        wait_until(lambda: gateway.served_by_every_worker(fleet.sql.revision))
        before = failed_connects(gateway)
        assert names(gateway) == {"v1"}
        assert failed_connects(gateway) == before, "nobody even tries"
        told = console.get("instances/v-2/health")
        assert told["verdict"]["health"] == "unhealthy"
        assert told["verdict"]["reason"] == "connection refused (3 failures in a row)"
        assert told["probes"]["last_probe"]["outcome"] == "failed"
        assert [one["change"]["after"]["health"] for one in told["history"]] == [
            *("unhealthy", "healthy"),
        ]
        asked = console.post("instances/v-2/probe").json
        assert (asked["outcome"], asked["seen"]) == ("failed", "connection refused")
        two.revive()
        two.wait_for("healthy")
        wait_until(lambda: names(gateway) == {"v1", "v2"})
    finally:
        two.close()


def test_what_requests_show_brings_the_verdict_forward(fleet: Fleet) -> None:
    """An instance is ejected, which is told over Redis, and one probe says the rest."""
    two = Two(fleet, SELDOM, ejection={"base": "60s"})
    try:
        gateway = fleet.gateway()
        probing(fleet)
        two.wait_for("healthy")
        two.kill()

        def is_unhealthy() -> bool:
            assert names(gateway) <= {"v1", "v2"}
            query = "SELECT reason FROM fengling.instance_health WHERE health = 'unhealthy'"
            return "by what gateways report" in str(fleet.sql.value(query))

        wait_until(is_unhealthy, timeout=30)
    finally:
        two.close()


def test_killed_prober_is_replaced_and_takes_nothing_out_of_service(fleet: Fleet) -> None:
    """Another console goes on in the next term; gateways hear of it."""
    two = Two(fleet, QUICK, ejection=None)
    try:
        gateway = fleet.gateway()
        first = probing(fleet)
        two.wait_for("healthy")
        second = probing(fleet)
        wait_until(lambda: prober(second)["holder"] == "c1")
        assert prober(first)["is_mine"]
        wait_until(lambda: gateway.manage("status")["health"]["state"] == "fresh")
        first.kill()
        wait_until(lambda: prober(second)["is_mine"], timeout=30)
        assert prober(second)["term"] == 2
        assert names(gateway) == {"v1", "v2"}
        two.kill()
        two.wait_for("unhealthy")
        wait_until(lambda: names(gateway) == {"v1"})
    finally:
        two.close()
