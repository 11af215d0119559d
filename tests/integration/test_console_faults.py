"""A console whose database or Redis is away, and one that is to end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import psycopg2
import pytest

from fengling_gateway import schema
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.conftest import Sql
from tests.integration.console import ConsoleProcess, Fleet, fleet_with_database
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def consoles(tmp_path: Path) -> Iterator[Callable[..., ConsoleProcess]]:
    """Return a function that starts a console; all are seen to stop after the test."""
    started: list[ConsoleProcess] = []

    def start(database: str, **settings: object) -> ConsoleProcess:
        name = f"c{len(started) + 1}"
        console = ConsoleProcess(tmp_path / name, database, name=name, **settings)  # type: ignore[arg-type]
        started.append(console)
        console.start()
        return console

    yield start
    for one in started:
        one.stop()


def test_database_that_is_away_is_said_and_waited_for(
    own_postgres: PostgresServer, consoles: Callable[..., ConsoleProcess]
) -> None:
    """503 for what needs it; what is known is shown on, and told; then all works as before."""
    schema.upgrade(own_postgres.create_database("config"))
    sql = Sql(own_postgres.dsn("config"))
    sql.add_service("s1", "http://127.0.0.1:9")
    console = consoles(own_postgres.dsn("config"))
    console.wait_ready()
    with console.listening() as stream:
        wait_until(lambda: stream.named("summary"))
        sql.close()
        own_postgres.stop("immediate")
        body = {"id": "r1", "path": "/r1", "service_id": "s1"}
        for method, path in (("GET", "routes"), ("GET", "revisions"), ("POST", "routes")):
            asked = console.ask(method, path, body if method == "POST" else None)
            assert (asked.status, asked.json["code"]) == (503, "source_unavailable"), asked
            assert "127.0.0.1" in asked.json["detail"] or "connection" in asked.json["detail"]
        wait_until(lambda: console.get("summary")["problem"])
        wait_until(lambda: stream.named("summary")[-1]["problem"])
        assert console.get("summary")["counts"]["service"] == 1
        assert console.fetch("GET", "/livez").status == 200
        assert console.fetch("GET", "/readyz").status == 200  # it shows what it knows
        own_postgres.start()
        wait_until(lambda: console.ask("GET", "routes").status == 200)
        assert console.post("routes", body).status == 201
        wait_until(lambda: not stream.named("summary")[-1]["problem"], timeout=30)
        wait_until(
            lambda: [one for one in stream.named("revision") if one["changes"][0]["id"] == "r1"]
        )
        assert not stream.ended.is_set()
    metrics = console.fetch("GET", "/metrics").content
    assert b"fengling_console_config_readable 1.0" in metrics
    failures = [
        one for one in metrics.splitlines() if one.startswith(b"fengling_console_store_fail")
    ]
    assert float(failures[0].split()[-1]) >= 3


def test_console_that_starts_without_its_database_waits_for_it(
    own_postgres: PostgresServer, consoles: Callable[..., ConsoleProcess]
) -> None:
    """It is live and not ready, and says why."""
    schema.upgrade(own_postgres.create_database("config"))
    own_postgres.stop()
    console = consoles(own_postgres.dsn("config"))
    wait_until(lambda: console.fetch("GET", "/livez").status == 200)
    wait_until(lambda: console.fetch("GET", "/readyz").json.get("reason"))
    assert console.fetch("GET", "/readyz").status == 503
    assert console.ask("GET", "routes").status == 503
    own_postgres.start()
    console.wait_ready()
    assert console.get("routes")["items"] == []


@pytest.fixture
def lone(postgres: PostgresServer, _migrated_template: str, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_with_database(postgres, _migrated_template, tmp_path) as fleet:
        yield fleet


def test_without_redis_nobody_knows_who_serves_it(lone: Fleet) -> None:
    """The change is made, and wait=all says at once that and why it is not known."""
    console = lone.console()
    asked = console.post("services?wait=all&timeout=60s", {"id": "s1"})
    assert (asked.status, asked.json["code"]) == (504, "not_converged")
    assert not asked.json["convergence"]["complete"]
    assert "Redis" in asked.json["convergence"]["reason"]
    assert asked.json["revision"] == lone.sql.revision
    for method, path in (
        ("POST", "fleet/n1/drain"),
        ("GET", "switches"),
        ("PUT", "switches/route/x"),
    ):
        asked = console.ask(method, path)
        assert (path, asked.status, asked.json["code"]) == (path, 503, "bus_unavailable")
    assert "Redis" in console.get("fleet")["problem"]


def test_redis_that_goes_is_told_and_comes_back(
    lone: Fleet, own_valkey: ValkeyServer, postgres: PostgresServer
) -> None:
    """Changes are made meanwhile."""
    console = lone.console(redis=own_valkey.url)
    gateway = lone.gateway(redis=own_valkey.url)
    wait_until(lambda: console.get("summary")["nodes"]["live"] == 1)
    own_valkey.kill()
    wait_until(lambda: console.get("fleet")["problem"])
    asked = console.post("services?wait=all&timeout=20s", {"id": "s1"})
    assert (asked.status, asked.json["convergence"]["complete"]) == (504, False), asked
    wait_until(lambda: gateway.served_by_every_worker(asked.json["revision"]))
    own_valkey.start()
    wait_until(lambda: not console.get("fleet")["problem"], timeout=30)
    wait_until(lambda: console.get("summary")["nodes"]["live"] == 1, timeout=30)
    assert console.post("services?wait=all&timeout=20s", {"id": "s2"}).status == 201


def test_console_that_is_to_end_does_within_seconds(lone: Fleet) -> None:
    """
    With pages that are open, a change that waits for a lock, and requests on their way.

    Sooner than the change would end by itself.
    """
    console = lone.console()
    console.create_quietly("services", id="s1")
    lock = psycopg2.connect(lone.sql.dsn)
    with lock.cursor() as cursor:
        cursor.execute("SELECT FROM fengling.service FOR UPDATE")

    def change() -> None:
        with suppress(OSError, HTTPException):  # which it is told, if at all
            console.patch("services/s1", {"name": "x"}, if_match="*")

    waiting = threading.Thread(target=change, daemon=True)
    slow = socket.create_connection(("127.0.0.1", console.port), 10)
    slow.sendall(b"GET / HTTP/1.1\r\nHost")
    with console.listening() as stream, slow:
        waiting.start()
        wait_until(
            lambda: lone.sql.value(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
        began = time.monotonic()
        assert console.stop() == 0
        print(f"stopped after {time.monotonic() - began:.1f} s")
        assert stream.ended.wait(5)
    lock.close()
    wait_until(
        lambda: (
            lone.sql.value(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'fengling-console%%'"
                " AND datname = current_database()"
            )
            == 0
        )
    )
    assert "Traceback" not in console.log
    assert "stopped" in console.log


def test_console_that_is_killed_leaves_nothing(lone: Fleet) -> None:
    """No lock, no session: another one does what it did."""
    first, second = lone.console(), lone.console()
    first.create_quietly("services", id="s1")
    first.kill()
    wait_until(
        lambda: (
            lone.sql.value(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fengling-console c1'"
            )
            == 0
        )
    )
    assert second.patch("services/s1", {"name": "x"}).status == 200
