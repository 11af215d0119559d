"""A database, upstreams and gateways that the tests of one module share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess, Upstream, admin_token
from tests.support.wait import wait_until


class World:
    """
    What a module's tests share, started once.

    Whoever changes it puts it back: `restore` of a test that drops something.
    """

    def __init__(self, directory: Path, sql: Sql | None = None) -> None:
        self.directory = directory
        self._sql = sql
        self._gateways: list[GatewayProcess] = []
        self._upstreams: dict[str, Upstream] = {}

    @property
    def sql(self) -> Sql:
        assert self._sql is not None
        return self._sql

    def upstream(self, name: str) -> Upstream:
        """Return the upstream of this name, started at the first call."""
        if name not in self._upstreams:
            self._upstreams[name] = Upstream(name)
        return self._upstreams[name]

    def gateway(self, **settings: Any) -> GatewayProcess:
        """Start a gateway with directories of its own, and wait until it serves."""
        started = self.starting(**settings)
        started.wait_ready()
        return started

    def starting(self, **settings: Any) -> GatewayProcess:
        """Start a gateway that may have nothing to serve."""
        node = settings.setdefault("node", f"n{len(self._gateways) + 1}")
        if self._sql is not None:
            settings.setdefault("database", self._sql.dsn)
        gateway = GatewayProcess(directory=self.directory / str(node), **settings)
        self._gateways.append(gateway)
        gateway.start()
        return gateway

    def close(self) -> None:
        for gateway in self._gateways:
            gateway.stop()
        for upstream in self._upstreams.values():
            upstream.close()


@contextmanager
def world_with_database(
    postgres: PostgresServer, template: str, directory: Path
) -> Iterator[World]:
    """Lend a world whose database is a copy of `template`."""
    dsn = postgres.create_database(template=template)
    sql = Sql(dsn)
    world = World(directory, sql)
    try:
        yield world
    finally:
        world.close()
        sql.close()
        postgres.psql(f'DROP DATABASE IF EXISTS "{dsn.rpartition("/")[2]}" WITH (FORCE)')


def fenglingctl(
    *arguments: str, gateway: GatewayProcess | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line; with a gateway, as its administrator."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FENGLING_", "PG")) or name.startswith("FENGLING_COVER")
    }
    environ["XDG_CONFIG_HOME"] = "/nonexistent"  # nobody's contexts
    if gateway is not None:
        environ["FENGLING_TOKEN"] = admin_token()
        environ["FENGLING_MANAGEMENT"] = f"http://127.0.0.1:{gateway.management_port}"
    return subprocess.run(
        [sys.executable, "-m", "fengling_gateway.cli.main", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def metrics(gateway: GatewayProcess) -> dict[str, float]:
    """Return the samples of /metrics by name and labels, as they are written there."""
    status, body = gateway.get("/metrics", port=gateway.management_port)
    assert status == 200, body
    lines = [line for line in body.decode().splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def rejected(gateway: GatewayProcess) -> dict[str, dict[str, Any]]:
    """Return what the gateway rejects, by "kind id"."""
    found, query = [], "limit=40"
    while True:
        page = gateway.manage(f"rejected?{query}")
        found += page["items"]
        if page["next"] is None:
            return {f"{one['kind']} {one['id']}": one for one in found}
        query = urlencode({"limit": 40, "after": page["next"]})


def lines_with(gateway: GatewayProcess, *words: str) -> list[str]:
    """Return the lines of the log in which all of these words are."""
    return [line for line in gateway.log.splitlines() if all(word in line for word in words)]


def wait_for_line(gateway: GatewayProcess, *words: str, timeout: float = 15.0) -> str:
    """Wait for a line of the log with all of these words, and return the first."""
    look: Callable[[], list[str]] = lambda: lines_with(gateway, *words)  # noqa: E731
    return wait_until(look, timeout=timeout)[0]


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False
