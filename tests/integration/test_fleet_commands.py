"""What consoles ask of gateways and tell them beside the configuration, with real processes."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.bus import ConsoleOnBus
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Load, Upstream
from tests.integration.world import wait_for_line
from tests.support.wait import wait_until

Gateways = Callable[..., GatewayProcess]


@pytest.fixture
def console(own_valkey: ValkeyServer) -> Iterator[ConsoleOnBus]:
    console = ConsoleOnBus(own_valkey.url)
    yield console
    console.close()


@pytest.fixture
def gateway(
    gateways: Gateways, own_valkey: ValkeyServer, file_settings: dict[str, Any]
) -> GatewayProcess:
    """Return a gateway of two workers with a route from a file, and Redis."""
    gateway = gateways(redis=own_valkey.url, **file_settings)
    gateway.wait_ready()
    wait_until(lambda: gateway.manage("status")["redis"]["connected"])
    return gateway


def is_ready(gateway: GatewayProcess) -> bool:
    return gateway.get("/readyz", port=gateway.management_port)[0] == 200


def is_kept(gateway: GatewayProcess) -> bool:
    """Whether a client's connection stays open after an answer, which has to be a good one."""
    client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    try:
        client.request("GET", "/hello")
        answer = client.getresponse()
        assert answer.status == 200
        answer.read()
        return not answer.will_close
    finally:
        client.close()


def keeps_none(gateway: GatewayProcess) -> bool:
    """Whether none of both workers keeps a connection; a dozen clients ask them."""
    return not any(is_kept(gateway) for _ in range(12))


class DrainTests:
    """A node that clients are sent away from."""

    def test_drained_node_sends_clients_away_and_serves_them_all(
        self, gateway: GatewayProcess
    ) -> None:
        """Not ready, and no connection kept; workers that start meanwhile know of it."""
        assert is_ready(gateway)
        assert is_kept(gateway)
        with Load(gateway.port, "/hello").running() as load:
            assert gateway.manage("drain", method="POST", body={"on": True}) == {"drained": True}
            wait_until(lambda: keeps_none(gateway))
            assert not is_ready(gateway)
            before = gateway.worker_pids()
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda: len(set(gateway.worker_pids()) - set(before)) == 1)
            wait_until(lambda: gateway.served_by_every_worker(0))
            assert keeps_none(gateway)
            gateway.manage("drain", method="POST", body={"on": False})
            wait_until(lambda: is_kept(gateway) and is_kept(gateway))
            assert is_ready(gateway)
            load.wait_for(50)
        assert load.failed == [] or all("closed" in one for one in load.failed[:1])
        audit = gateway.manage("audit")["items"]
        assert [one["what"] for one in audit[:2]] == ["drain off", "drain on"]

    def test_console_drains_and_restarts_a_node(
        self, gateway: GatewayProcess, console: ConsoleOnBus
    ) -> None:
        """By its name; each once, and the node tells what it is."""
        wait_until(lambda: console.state("n1")["state"] == "serving")
        state = console.state("n1")
        assert state["draining"] is False
        [listener] = state["listeners"]
        assert listener == {"name": "http", "address": f"127.0.0.1:{gateway.port}", "tls": False}
        console.ask_node("n1", "drain", on=True)
        wait_until(lambda: not is_ready(gateway))
        wait_until(lambda: console.state("n1")["draining"])
        console.ask_node("n1", "drain", on=False)
        wait_until(lambda: is_ready(gateway))
        before = gateway.worker_pids()
        with Load(gateway.port, "/hello").running() as load:
            console.ask_node("n1", "restart")
            wait_until(lambda: gateway.manage("status")["restarts"] == 1)
            wait_until(lambda: not gateway.manage("status")["restarting"], timeout=60)
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        assert not set(before) & set(gateway.worker_pids())
        assert gateway.manage("status")["deaths"] == 0
        wait_until(lambda: console.state("n1")["traffic"]["p50_ms"] is not None)

    def test_restart_by_the_api_replaces_every_worker(self, gateway: GatewayProcess) -> None:
        """As USR2 does."""
        before = gateway.worker_pids()
        answer = gateway.manage("restart", method="POST")
        assert answer == {"restarting": True, "restarts": 1}
        wait_until(lambda: not gateway.manage("status")["restarting"], timeout=60)
        assert not set(before) & set(gateway.worker_pids())


@pytest.fixture
def own_sql(own_postgres: PostgresServer) -> Iterator[Sql]:
    from fengling_gateway import schema

    dsn = own_postgres.create_database("fleet")
    schema.upgrade(dsn)
    sql = Sql(dsn)
    yield sql
    sql.close()


class StaleTests:
    """Nobody probes any more."""

    def test_signs_of_a_prober_come_from_the_database_and_from_redis(
        self, gateways: Gateways, sql: Sql, own_valkey: ValkeyServer, console: ConsoleOnBus
    ) -> None:
        """Either is enough; without both, what was reported is stale."""
        gateway = gateways(
            database=sql.dsn,
            redis=own_valkey.url,
            settings={"database": {"poll_interval": "0.4s"}, "health": {"stale_after": "1.5s"}},
        )
        gateway.wait_ready()

        def health() -> tuple[str, int | None]:
            found = gateway.manage("status")["health"]
            return found["state"], found["term"]

        wait_until(lambda: health() == ("none", 0))
        sql.run("UPDATE fengling.prober SET term = 4, holder = 'c1', heartbeat_at = now()")
        wait_until(lambda: health() == ("fresh", 4))
        wait_until(lambda: health() == ("stale", 4))
        wait_for_line(gateway, "health: stale: nobody has probed instances")

        def beaten() -> bool:
            console.beat(5, "c2")
            return health() == ("fresh", 5)

        wait_until(beaten)
        wait_until(lambda: console.state("n1")["health"] == "stale")
        sql.run("UPDATE fengling.prober SET term = 6, holder = 'c1', heartbeat_at = now()")
        wait_until(lambda: health() == ("fresh", 6))


class KillSwitchTests:
    """Something is switched off, whatever becomes of the database."""

    def test_route_is_off_and_on_again_without_the_database(
        self,
        gateways: Gateways,
        own_sql: Sql,
        own_postgres: PostgresServer,
        own_valkey: ValkeyServer,
        upstreams: Callable[[str], Upstream],
        console: ConsoleOnBus,
    ) -> None:
        """For every worker; a worker that starts meanwhile, and a Redis that is away, included."""
        own_sql.add_service("v1", upstreams("v1").address)
        own_sql.add_route("hello", "/hello", "v1")
        own_sql.add_route("other", "/other", "v1")
        gateway = gateways(database=own_sql.dsn, redis=own_valkey.url)
        gateway.wait_ready()
        wait_until(lambda: gateway.manage("status")["redis"]["connected"])
        own_postgres.stop("immediate")
        console.switch("route", "hello", off=True)
        wait_until(lambda: gateway.manage("status")["switched_off"])
        [switch] = gateway.manage("status")["switched_off"]
        assert (switch["kind"], switch["id"], switch["by"]) == ("route", "hello", "ada")
        wait_until(lambda: console.state("n1")["switches"] == ["route/hello"])
        console.switch("route", "hello", off=False)
        wait_until(lambda: not gateway.manage("status")["switched_off"])
        assert 'route hello is switched off by ada "it burns"' in gateway.log
