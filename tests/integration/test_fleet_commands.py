"""What consoles ask of gateways and tell them beside the configuration, with real processes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.embedded.ports import free_port
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.bus import ConsoleOnBus
from tests.integration.conftest import Sql
from tests.integration.console import ConsoleProcess
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


def keeps_all(gateway: GatewayProcess) -> bool:
    return all(is_kept(gateway) for _ in range(12))


def answers(gateway: GatewayProcess, path: str) -> set[int]:
    """Return the statuses that a dozen clients get from both workers."""
    return {gateway.get(path)[0] for _ in range(12)}


def two_instances(sql: Sql, upstreams: Callable[[str], Upstream]) -> None:
    """Add a route to a service of two: v-1, which answers as v1, and v-2."""
    sql.add_service("v", upstreams("v1").address)
    second = "INSERT INTO fengling.instance (id, service_id, address) VALUES ('v-2', 'v', %s)"
    sql.run(second, upstreams("v2").address)
    sql.add_route("hello", "/hello", "v")


def names(gateway: GatewayProcess) -> set[str]:
    """Return who answers a dozen clients."""
    return {json.loads(gateway.get("/hello")[1])["name"] for _ in range(12)}


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
            load.wait_for(50)
            gateway.manage("drain", method="POST", body={"on": False})
            wait_until(lambda: keeps_all(gateway))
            assert is_ready(gateway)
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        audit = gateway.manage("audit")["items"]
        assert [one["what"] for one in audit[:2]] == ["drain off", "drain on"]

    def test_worker_that_starts_in_a_drain_knows_of_it(self, gateway: GatewayProcess) -> None:
        """It takes the place of one that has died."""
        gateway.manage("drain", method="POST", body={"on": True})
        before = gateway.worker_pids()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(gateway.worker_pids()) - set(before)) == 2)
        wait_until(lambda: gateway.served_by_every_worker(0))
        assert keeps_none(gateway)

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

    def test_unhealthy_instance_is_tried_again_when_nobody_probes_any_more(
        self,
        gateways: Gateways,
        sql: Sql,
        upstreams: Callable[[str], Upstream],
    ) -> None:
        """Without Redis, too: a dead console takes nothing out of service for ever."""
        two_instances(sql, upstreams)
        sql.run("UPDATE fengling.prober SET term = 4, holder = 'c1', heartbeat_at = now()")
        sql.run(
            "INSERT INTO fengling.instance_health (instance_id, health, reason, source)"
            " VALUES ('v-1', 'unhealthy', 'refused', 'test')"
        )
        stale_after = {"database": {"poll_interval": "1s"}, "health": {"stale_after": "4s"}}
        gateway = gateways(database=sql.dsn, settings=stale_after)
        gateway.wait_ready()

        def beaten() -> bool:
            sql.run("UPDATE fengling.prober SET heartbeat_at = now()")
            return names(gateway) == {"v2"}

        wait_until(beaten)
        wait_for_line(gateway, "health: stale: nobody has probed instances")
        wait_until(lambda: names(gateway) == {"v1", "v2"})
        wait_until(beaten)  # another console has taken over


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
        began = time.monotonic()
        console.switch("route", "hello", off=True)
        wait_until(lambda: gateway.get("/hello")[0] == 503, interval=0.001)
        print(f"off for clients after {(time.monotonic() - began) * 1000:.1f} ms")
        wait_until(lambda: answers(gateway, "/hello") == {503})
        assert answers(gateway, "/other") == {200}
        [switch] = gateway.manage("status")["switched_off"]
        assert (switch["kind"], switch["id"], switch["by"]) == ("route", "hello", "ada")
        wait_until(lambda: console.state("n1")["switches"] == ["route/hello"])
        own_valkey.stop()
        before = gateway.worker_pids()
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(set(gateway.worker_pids()) - set(before)) == 1)
        wait_until(lambda: gateway.served_by_every_worker(0))
        assert answers(gateway, "/hello") == {503}
        own_valkey.start()  # and knows of nothing
        again = ConsoleOnBus(own_valkey.url)
        wait_until(lambda: gateway.manage("status")["redis"]["connected"])
        assert answers(gateway, "/hello") == {503}
        again.switch("route", "hello", off=False)
        wait_until(lambda: answers(gateway, "/hello") == {200})
        again.close()
        assert gateway.manage("status")["switched_off"] == []
        assert 'route hello is switched off by ada "it burns"' in gateway.log

    def test_instance_is_off_for_as_long_as_somebody_says_so(
        self,
        gateways: Gateways,
        sql: Sql,
        own_valkey: ValkeyServer,
        upstreams: Callable[[str], Upstream],
        console: ConsoleOnBus,
    ) -> None:
        """A node that starts later is told by Redis."""
        two_instances(sql, upstreams)
        console.switch("instance", "v-1", off=True)
        gateway = gateways(database=sql.dsn, redis=own_valkey.url)
        gateway.wait_ready()
        wait_until(lambda: gateway.manage("status")["switched_off"])
        wait_until(lambda: names(gateway) == {"v2"})
        console.switch("instance", "v-1", off=False)
        wait_until(lambda: names(gateway) == {"v1", "v2"})


class EvidenceTests:
    """What requests show of instances."""

    def test_console_hears_of_failures_and_of_nothing_else(
        self,
        gateways: Gateways,
        sql: Sql,
        own_valkey: ValkeyServer,
        upstreams: Callable[[str], Upstream],
        console: ConsoleOnBus,
    ) -> None:
        """Of both workers, within a second or two."""
        sql.add_service("good", upstreams("v1").address)
        sql.add_route("good", "/good", "good")
        sql.add_service("dead", f"http://127.0.0.1:{free_port()}")
        sql.add_route("dead", "/dead", "dead")
        gateway = gateways(database=sql.dsn, redis=own_valkey.url)
        gateway.wait_ready()
        wait_until(lambda: gateway.manage("status")["redis"]["connected"])
        found: dict[str, Any] = {}

        def heard() -> bool:
            answers(gateway, "/good")
            assert answers(gateway, "/dead") == {502}
            found.update(console.evidence())
            return bool(found)

        wait_until(heard)
        assert found.keys() == {"dead-1"}
        assert (found["dead-1"]["failures"] > 0, found["dead-1"]["error"]) == (
            True,
            "connect_failed",
        )


def test_console_does_all_of_it_over_redis(
    gateways: Gateways,
    sql: Sql,
    own_valkey: ValkeyServer,
    upstreams: Callable[[str], Upstream],
    tmp_path: Path,
) -> None:
    """Its heartbeat, its commands, its switches: the gateway does not ask the database meanwhile."""
    sql.add_service("v1", upstreams("v1").address)
    sql.add_route("hello", "/hello", "v1")
    seldom = {"database": {"poll_interval": "300s", "listen": False}}
    gateway = gateways(database=sql.dsn, redis=own_valkey.url, settings=seldom)
    gateway.wait_ready()
    console = ConsoleProcess(
        tmp_path / "c1",
        database=sql.dsn,
        redis=own_valkey.url,
        settings={"probes": {"enabled": True}},
    )
    console.start()
    try:
        console.wait_ready()
        wait_until(lambda: gateway.manage("status")["health"]["holder"] == "c1")
        assert gateway.manage("status")["health"]["state"] == "fresh"
        wait_until(lambda: [one["node"] for one in console.get("fleet")["nodes"]] == ["n1"])
        assert console.ask("PUT", "switches/route/hello").status == 200
        wait_until(lambda: answers(gateway, "/hello") == {503})
        assert [one["id"] for one in console.get("switches")["items"]] == ["hello"]
        assert console.ask("DELETE", "switches/route/hello").status == 200
        wait_until(lambda: answers(gateway, "/hello") == {200})
        assert console.post("fleet/n1/drain", {"on": True}).status == 202
        wait_until(lambda: not is_ready(gateway))
        assert console.post("fleet/n1/drain", {"on": False}).status == 202
        wait_until(lambda: is_ready(gateway))
        assert console.post("fleet/n2/drain", {"on": True}).status == 404
        assert console.post("fleet/n1/restart").status == 202
        wait_until(lambda: gateway.manage("status")["restarts"] == 1)
    finally:
        console.stop()
