"""A real Prometheus with the shipped alerts, beside a gateway that loses what it needs, one after the other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fengling_gateway import schema
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.conftest import Sql
from tests.integration.console import Fleet
from tests.integration.test_prometheus import scraping, told
from tests.support.prometheus import Prometheus, program
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def fleet(
    own_postgres: PostgresServer, own_valkey: ValkeyServer, tmp_path: Path
) -> Iterator[Fleet]:
    program("prometheus")
    schema.upgrade(own_postgres.create_database("config"))
    sql = Sql(own_postgres.dsn("config"))
    fleet = Fleet(tmp_path, sql, own_valkey.url)
    yield fleet
    fleet.close()
    sql.close()


def test_each_loss_is_told(
    fleet: Fleet, own_postgres: PostgresServer, own_valkey: ValkeyServer, tmp_path: Path
) -> None:
    """And nothing before; that it reaches somebody takes as long as each alert says."""
    fleet.sql.add_service("v", fleet.upstream("v").address)
    for number in range(5):
        fleet.sql.add_route(f"r{number}", f"/r{number}", "v")
    gateway = fleet.gateway()
    console = fleet.console(settings={"probes": {"enabled": True}})
    wait_until(lambda: gateway.manage("status")["health"]["state"] == "fresh")
    (tmp_path / "prometheus").mkdir()
    directory = tmp_path / "prometheus"
    with scraping(directory, gateway.management_port, console.port) as prometheus:
        wait_until(lambda: prometheus.series("fengling_worker_deaths_total offset 3s"), timeout=60)
        # A busy machine is late, and says so.
        assert set(told(prometheus)) <= {"FenglingReactorLag"}

        fleet.sql.run("DELETE FROM fengling.route")
        wait_for(prometheus, "FenglingRevisionHeld")
        console.kill()
        os.kill(gateway.worker_pids()[0], signal.SIGKILL)
        wait_for(prometheus, "FenglingConsoleDown")
        wait_for(prometheus, "FenglingWorkersDie")
        own_valkey.kill()
        wait_for(prometheus, "FenglingRedisAway")
        wait_for(prometheus, "FenglingProberDead")
        own_postgres.stop("immediate")
        wait_for(prometheus, "FenglingSourceAway")
        gateway.stop()
        wait_for(prometheus, "FenglingGatewayDown")
        gateway.start()
        gateway.wait_ready()
        wait_for(prometheus, "FenglingServesFromFile")
        wait_until(lambda: "FenglingGatewayDown" not in told(prometheus), timeout=60)


def wait_for(prometheus: Prometheus, name: str) -> None:
    """Wait until an alert is told."""
    wait_until(lambda: name in told(prometheus), timeout=60)
