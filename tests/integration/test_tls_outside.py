"""
The database and Redis over TLS, with real gateways: what is refused is said, and served on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway import schema
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Load, Upstream
from tests.integration.world import lines_with, wait_for_line
from tests.support import tls_postgres
from tests.support.certificates import Authority
from tests.support.tls_front import TlsFront
from tests.support.tls_postgres import TlsPostgres, dsn, system_programs
from tests.support.wait import wait_until

KINDS = [
    "fronted",
    pytest.param(
        "native",
        marks=pytest.mark.skipif(system_programs() is None, reason="no PostgreSQL with TLS here"),
    ),
]
DATABASE = "gateway"


@pytest.fixture
def authority() -> Authority:
    return Authority("Ours")


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[TlsPostgres]:
    with tls_postgres.running(request.param) as server:
        yield server


@pytest.fixture
def secured(server: TlsPostgres, authority: Authority, tmp_path: Path) -> str:
    """Return the URL of a migrated database that is to be verified, with a client certificate."""
    server.present(authority.issue("localhost"), client_ca=authority.pem)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    ours = authority.issue("gateway").write(tmp_path, "ours")
    verified = {
        "sslmode": "verify-full",
        "sslrootcert": ca,
        "sslcert": ours["chain"],
        "sslkey": ours["key"],
    }
    server.server.psql(
        f"CREATE DATABASE {DATABASE} ENCODING 'UTF8' TEMPLATE template0", dsn=plain(server)
    )
    url = dsn(server, DATABASE, **verified)
    schema.upgrade(url)
    return url


def plain(server: TlsPostgres, database: str = "postgres") -> str:
    """Return how a test itself gets at the server, whatever it presents."""
    return f"{server.server.dsn(database)}?sslmode=disable"


@pytest.fixture
def sql(server: TlsPostgres, secured: str, upstreams: Callable[[str], Upstream]) -> Iterator[Sql]:
    sql = Sql(plain(server, DATABASE))
    sql.add_service("v1", upstreams("v1").address)
    sql.add_route("hello", "/hello", "v1")
    yield sql
    sql.close()


class DatabaseTests:
    """verify-full, with a certificate of ours."""

    def test_a_certificate_that_expires_stops_no_request(
        self,
        gateways: Callable[..., GatewayProcess],
        server: TlsPostgres,
        secured: str,
        sql: Sql,
        authority: Authority,
    ) -> None:
        """What was served goes on, also after a restart; a good one heals it, and brings changes."""
        gateway = gateways(
            database=secured, settings={"database": {"url": secured, "poll_interval": "300ms"}}
        )
        gateway.wait_ready()
        wait_until(lambda: gateway.manage("status")["source"]["listening"])
        assert lines_with(gateway, "settings:", "database.url") == []
        with Load(gateway.port, "/hello", threads=2).running() as load:
            server.present(authority.issue("localhost", ends_in_days=-1), client_ca=authority.pem)
            server.drop()
            wait_until(
                lambda: (
                    "its certificate has expired on"
                    in (gateway.manage("status")["source"]["last_error"] or "")
                )
            )
            status = gateway.manage("status")
            assert not status["source"]["connected"]
            assert str(server.port) in status["source"]["last_error"]
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        assert len(lines_with(gateway, "its certificate has expired on")) < 10
        gateway.stop()
        gateway.start()
        gateway.wait_ready()
        assert gateway.get("/hello")[0] == 200
        assert gateway.manage("status")["served_from"] == "last-known-good"
        server.present(authority.issue("localhost"), client_ca=authority.pem)
        wait_until(lambda: gateway.manage("status")["source"]["listening"])
        later = Sql(plain(server, DATABASE))
        later.run("UPDATE fengling.route SET path = '/hi' WHERE id = 'hello'")
        wait_until(lambda: gateway.get("/hi")[0] == 200)
        later.close()

    @pytest.mark.parametrize("wrong", ["authority", "host", "nothing"])
    def test_a_first_start_waits_for_a_server_that_proves_itself(
        self,
        gateways: Callable[..., GatewayProcess],
        server: TlsPostgres,
        secured: str,
        sql: Sql,
        authority: Authority,
        wrong: str,
    ) -> None:
        """It says what is wrong, and goes on by itself once it isn't."""
        presented, said = {
            "authority": (Authority("Stranger").issue("localhost"), "issued by CN=Stranger"),
            "host": (authority.issue("db.example"), 'certificate for "db.example"'),
            "nothing": (None, "server does not support SSL"),
        }[wrong]
        server.present(presented)
        gateway = gateways(
            database=secured, settings={"database": {"url": secured, "poll_interval": "300ms"}}
        )
        line = wait_for_line(gateway, "the config source can't be read", said)
        assert str(server.port) in line
        assert gateway.get("/readyz", port=gateway.management_port)[0] == 503
        server.present(authority.issue("localhost"), client_ca=authority.pem)
        gateway.wait_ready()
        assert gateway.get("/hello")[0] == 200


class RedisTests:
    """rediss://, as the supervisor and its workers speak it."""

    def test_an_impostor_is_not_spoken_to_and_costs_no_change(
        self,
        gateways: Callable[..., GatewayProcess],
        upstreams: Callable[[str], Upstream],
        migrated_database: str,
        own_valkey: ValkeyServer,
        authority: Authority,
        tmp_path: Path,
    ) -> None:
        """Changes come over the database alone meanwhile, and over Redis again afterwards."""
        front = TlsFront(own_valkey.port, tmp_path, protocol="redis")
        front.present(authority.issue("localhost"), client_ca=authority.pem)
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        ours = authority.issue("gateway").write(tmp_path, "ours")
        files = {
            "ssl_ca_certs": tmp_path / "ca.pem",
            "ssl_certfile": ours["chain"],
            "ssl_keyfile": ours["key"],
        }
        query = "&".join(f"{name}={value}" for name, value in files.items())
        sql = Sql(migrated_database)
        sql.add_service("v1", upstreams("v1").address)
        sql.add_route("hello", "/hello", "v1")
        gateway = gateways(
            database=migrated_database, redis=f"rediss://localhost:{front.port}/0?{query}"
        )
        gateway.wait_ready()
        wait_until(lambda: self._redis(gateway)["connected"])
        # Of two workers each hears by a connection of its own.
        wait_until(lambda: len(front.clients) >= 4)
        front.present(Authority("Impostor").issue("localhost"))
        front.drop()
        wait_for_line(gateway, "Redis at rediss://localhost", "issued by CN=Impostor")
        wait_until(lambda: "CN=Impostor" in self._redis(gateway)["last_error"])
        sql.run("UPDATE fengling.route SET path = '/hi' WHERE id = 'hello'")
        wait_until(lambda: gateway.served_by_every_worker(sql.revision))
        assert gateway.get("/hi")[0] == 200
        front.present(authority.issue("localhost"), client_ca=authority.pem)
        wait_until(lambda: self._redis(gateway)["connected"])
        gateway.stop()
        front.close()
        sql.close()

    def _redis(self, gateway: GatewayProcess) -> dict[str, Any]:
        status: dict[str, Any] = gateway.manage("status")["redis"]
        return status
