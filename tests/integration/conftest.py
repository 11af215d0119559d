"""Gateways, upstreams and configuration for tests with real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.integration.gateway import GatewayProcess, Upstream


@pytest.fixture
def upstreams() -> Iterator[Callable[[str], Upstream]]:
    """Return a function that starts an upstream; all are closed after the test."""
    started: list[Upstream] = []

    def start(name: str) -> Upstream:
        started.append(Upstream(name))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Return a function that starts a gateway; all are stopped, and seen to stop, after the test."""
    started: list[GatewayProcess] = []

    def start(**settings: object) -> GatewayProcess:
        node = settings.setdefault("node", f"n{len(started) + 1}")
        gateway = GatewayProcess(directory=tmp_path / str(node), **settings)  # type: ignore[arg-type]
        started.append(gateway)
        gateway.start()
        return gateway

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def file_settings(tmp_path: Path, upstreams: Callable[[str], Upstream]) -> dict[str, Any]:
    """Return the settings of a gateway that takes its configuration, one route, from a file."""
    path = tmp_path / "routes.yaml"
    path.write_text(
        "services:\n"
        "  - id: v1\n"
        f'    instances: [{{id: v1-1, address: "{upstreams("v1").address}"}}]\n'
        "routes: [{id: hello, path: /hello, service_id: v1}]\n"
    )
    return {"source": "file", "settings": {"file": {"path": str(path)}}}


@pytest.fixture
def gateway(
    gateways: Callable[..., GatewayProcess], file_settings: dict[str, Any]
) -> GatewayProcess:
    """Return a gateway of two workers with a route on an upstream, from a file."""
    gateway = gateways(**file_settings)
    gateway.wait_ready()
    return gateway


class Sql:
    """One connection in autocommit, and what tests do by hand in psql."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._connection = psycopg2.connect(dsn)
        self._connection.autocommit = True

    def run(self, statement: str, *args: object) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, args or None)

    def value(self, query: str, *args: object) -> object:
        with self._connection.cursor() as cursor:
            cursor.execute(query, args or None)
            row = cursor.fetchone()
            return None if row is None else row[0]

    @property
    def revision(self) -> int:
        """The newest revision."""
        return int(self.value("SELECT coalesce(max(id), 0) FROM fengling.revision"))  # type: ignore[call-overload]

    def add_service(self, name: str, address: str) -> None:
        self.run("INSERT INTO fengling.service (id) VALUES (%s)", name)
        self.run(
            "INSERT INTO fengling.instance (id, service_id, address) VALUES (%s, %s, %s)",
            f"{name}-1",
            name,
            address,
        )

    def add_route(self, name: str, path: str, service: str) -> None:
        self.run(
            "INSERT INTO fengling.route (id, path, service_id) VALUES (%s, %s, %s)",
            name,
            path,
            service,
        )

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def sql(migrated_database: str) -> Iterator[Sql]:
    """Return a connection to a migrated, empty database of the test's own."""
    connection = Sql(migrated_database)
    yield connection
    connection.close()
