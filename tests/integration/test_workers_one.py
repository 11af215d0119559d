"""``workers = 1``: supervisor and worker in one process, with the same behaviour."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from fengling_gateway.embedded import guard
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Load, Upstream
from tests.integration.world import (
    World,
    metrics,
    refuses,
    rejected,
    wait_for_line,
    world_with_database,
)
from tests.support.wait import wait_until

Gateways = Callable[..., GatewayProcess]
Upstreams = Callable[[str], Upstream]

SETTINGS: Final = {"drain": {"deadline": "2s"}}


class SlowUpstream:
    """Answers requests when told to, and says how many it has."""

    def __init__(self) -> None:
        self.waiting = 0
        self.release = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        self.release.set()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                self.waiting += 1
                self.release.wait()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
            except OSError:
                pass


@pytest.fixture
def slow() -> Iterator[SlowUpstream]:
    upstream = SlowUpstream()
    yield upstream
    upstream.close()


def configured(sql: Sql, upstreams: Upstreams, slow_address: str) -> None:
    """Add a quick and a slow route."""
    for name in ("v1", "v2"):
        sql.add_service(name, upstreams(name).address)
    sql.add_service("slow", slow_address)
    sql.add_route("hello", "/hello/{**rest}", "v1")
    sql.add_route("slow", "/slow", "slow")


@pytest.fixture
def gateway(
    sql: Sql, gateways: Gateways, upstreams: Upstreams, slow: SlowUpstream
) -> GatewayProcess:
    """Return a gateway of one process with a quick and a slow route."""
    configured(sql, upstreams, slow.address)
    gateway = gateways(database=sql.dsn, worker_count=1, settings=SETTINGS)
    gateway.wait_ready()
    return gateway


@pytest.fixture(scope="module")
def world(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("one")
    with world_with_database(postgres, _migrated_template, directory) as world:
        configured(world.sql, world.upstream, "http://127.0.0.1:1")
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> GatewayProcess:
    """Return a gateway that no test ends."""
    return world.gateway(worker_count=1, settings=SETTINGS)


def own_pid(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    return gateway.process.pid


class Asked:
    """A request in a thread of its own."""

    def __init__(self, gateway: GatewayProcess, path: str) -> None:
        self.outcome: object = None
        self._thread = threading.Thread(target=self._ask, args=(gateway, path))
        self._thread.start()

    def wait(self) -> object:
        self._thread.join(30)
        return self.outcome

    def _ask(self, gateway: GatewayProcess, path: str) -> None:
        try:
            self.outcome = gateway.get(path)
        except (OSError, http.client.HTTPException) as error:
            self.outcome = error


class OneProcessTests:
    """What it does while it runs."""

    def test_change_is_served_without_any_child(
        self, world: World, running: GatewayProcess
    ) -> None:
        """The worker is the supervisor's own process; status and metrics know it."""
        assert json.loads(running.get("/hello/x")[1])["name"] == "v1"
        with Load(running.port, "/hello/load").running() as load:
            world.sql.run("UPDATE fengling.route SET service_id = 'v2' WHERE id = 'hello'")
            wait_until(lambda: running.served_by_every_worker(world.sql.revision))
            assert json.loads(running.get("/hello/x")[1])["name"] == "v2"
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        [worker] = running.workers()
        assert (worker["worker"], worker["pid"]) == ("w0", own_pid(running))
        assert [process.pid for process in guard.tree(own_pid(running))] == [own_pid(running)]
        assert (
            metrics(running)['fengling_config_worker_revision{worker="w0"}'] == world.sql.revision
        )
        explained = running.manage("explain", method="POST", body={"path": "/hello/x"})
        assert explained["route"] == "hello"

    def test_bad_row_and_large_change_are_taken_like_anywhere(
        self, world: World, running: GatewayProcess
    ) -> None:
        """5,000 routes and a rejected one, compiled beside a load."""
        with Load(running.port, "/hello/load").running() as load:
            world.sql.run(
                "INSERT INTO fengling.route (id, path, service_id)"
                " SELECT 'r' || n, '/r/' || n, 'v1' FROM generate_series(1, 5000) AS n"
            )
            world.sql.run(
                "INSERT INTO fengling.route (id, path, service_id) VALUES ('bad', '~(', 'v1')"
            )
            wait_until(lambda: running.served_by_every_worker(world.sql.revision))
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        assert set(rejected(running)) == {"route bad"}
        assert running.get("/r/4999")[0] == 200

    def test_signals_fail_nothing(self, world: World, running: GatewayProcess) -> None:
        """HUP reads settings and configuration; USR1 and USR2 have nothing to do, and say so."""
        with Load(running.port, "/hello/load").running() as load:
            looks = running.manage("status")["looks"]
            toml = running.directory / "gateway.toml"
            toml.write_text(toml.read_text().replace('"2s"', '"4s"'))
            running.signal(signal.SIGHUP)
            wait_until(lambda: running.manage("status")["looks"] > looks)
            wait_for_line(running, "settings: drain.deadline changed")
            toml.write_text("workers = \n")
            running.signal(signal.SIGHUP)
            wait_for_line(running, " ERROR ", "settings: ", "the old ones stay")
            running.signal(signal.SIGUSR1)
            wait_for_line(running, "nothing to reopen")
            running.signal(signal.SIGUSR2)
            wait_for_line(running, " WARN ", "nothing to replace")
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        assert running.workers()[0]["pid"] == own_pid(running)
        assert "Traceback" not in running.log

    def test_announcements_and_commands_go_over_redis(
        self, sql: Sql, valkey: ValkeyServer, gateways: Gateways, upstreams: Upstreams
    ) -> None:
        """Two nodes of one process each follow each other without LISTEN."""
        sql.add_service("v1", upstreams("v1").address)
        deaf = {"database": {"listen": False, "poll_interval": "300s"}}
        nodes = [
            gateways(database=sql.dsn, redis=valkey.url, worker_count=1, settings=settings)
            for settings in ({}, deaf)
        ]
        for node in nodes:
            node.wait_ready()
            wait_until(lambda node=node: node.manage("status")["redis"]["connected"])
        sql.add_route("hello", "/hello", "v1")
        for node in nodes:
            wait_until(lambda node=node: node.served_by_every_worker(sql.revision))
        answer = nodes[0].manage("reload?wait=all&timeout=5s", method="POST")
        assert (answer["behind"], answer["complete"]) == ([], True)


class EndTests:
    """How it ends, and begins again."""

    def test_term_finishes_what_is_under_way(
        self, gateway: GatewayProcess, slow: SlowUpstream
    ) -> None:
        """No new connection, every answer complete, exit status 0."""
        asked = [Asked(gateway, "/slow") for _ in range(3)]
        wait_until(lambda: slow.waiting == 3)
        idle = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        idle.request("GET", "/hello/x")
        assert idle.getresponse().read()
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: refuses(gateway.port))
        assert gateway.process is not None
        assert gateway.process.poll() is None
        slow.release.set()
        assert [one.wait() for one in asked] == [(200, b"slow")] * 3
        assert gateway.process.wait(10) == 0
        idle.close()
        assert "Traceback" not in gateway.log

    def test_term_cuts_off_what_outlives_the_deadline(
        self, gateway: GatewayProcess, slow: SlowUpstream
    ) -> None:
        """Two seconds, and it is gone."""
        asked = Asked(gateway, "/slow")
        wait_until(lambda: slow.waiting == 1)
        gateway.signal(signal.SIGTERM)
        assert gateway.process is not None
        assert gateway.process.wait(10) == 0
        outcome = asked.wait()
        assert isinstance(outcome, Exception) or outcome[0] == 503  # type: ignore[index]
        assert "Traceback" not in gateway.log

    def test_term_before_there_is_anything_to_serve(
        self, fresh_database: str, gateways: Gateways
    ) -> None:
        """Without a schema it waits, and still goes when it is told to."""
        gateway = gateways(database=fresh_database, worker_count=1)
        wait_for_line(gateway, "has no fengling schema")
        assert gateway.get("/readyz", port=gateway.management_port)[0] == 503
        assert gateway.stop() == 0

    def test_killed_process_starts_again(self, sql: Sql, gateway: GatewayProcess) -> None:
        """What kill -9 leaves behind (a lock, a file) is in nobody's way."""
        gateway.kill()
        gateway.start()
        gateway.wait_ready()
        assert gateway.get("/hello/x")[0] == 200
        wait_until(lambda: gateway.served_by_every_worker(sql.revision))
        assert gateway.stop() == 0
        assert not [path for path in (gateway.directory / "run").rglob("*.sock") if path.exists()]
