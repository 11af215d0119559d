"""Fixtures with real servers. `tests/conftest.py` makes them known to every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fengling_gateway.embedded.owned import scratch_directory
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from tests.support.kubernetes_api import KubernetesApi

_IN_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 4 * 2**30


def server_directory() -> Path:
    """
    Make a directory for servers of tests, deleted after the run however it ends.

    It is in memory where there is room: a database is made of a thousand files, some thousand
    times in a run, and none of them has to survive anything.
    """
    has_room = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free >= _ROOM
    return scratch_directory("fengling-test-", within=_IN_MEMORY if has_room else None)


@pytest.fixture(scope="session")
def scratch() -> Path:
    """Return a directory for the whole run, deleted after it however it ends."""
    return server_directory()


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[PostgresServer]:
    """
    Return a running server shared by all tests.

    Stop, kill or freeze it only if you start or thaw it again in the same
    test; `own_postgres` is for rougher play.
    """
    server = PostgresServer(scratch / "postgres")
    server.start()
    yield server
    server.stop("immediate")


@pytest.fixture(scope="session")
def valkey(scratch: Path) -> Iterator[ValkeyServer]:
    """Return a running server shared by all tests; the same words of caution as `postgres`."""
    server = ValkeyServer(scratch / "valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def fresh_database(postgres: PostgresServer) -> Iterator[str]:
    """Return the DSN of a new, empty database."""
    yield from _database(postgres, "template0")


@pytest.fixture(scope="session")
def _migrated_template(postgres: PostgresServer) -> str:
    from fengling_gateway import schema

    schema.upgrade(postgres.create_database("migrated"))
    return "migrated"


@pytest.fixture
def migrated_database(postgres: PostgresServer, _migrated_template: str) -> Iterator[str]:
    """Return the DSN of a new database with the current schema and no configuration."""
    yield from _database(postgres, _migrated_template)


def _database(server: PostgresServer, template: str) -> Iterator[str]:
    dsn = server.create_database(template=template)
    yield dsn
    if server.running:
        server.psql(f'DROP DATABASE IF EXISTS "{dsn.rpartition("/")[2]}" WITH (FORCE)')


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """Return a running server of this test's own, to be stopped, killed and frozen at will."""
    server = PostgresServer(server_directory())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """Return a running server of this test's own, to be stopped, killed and frozen at will."""
    server = ValkeyServer(server_directory())
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=[16, 18])
def each_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of this test's own, once per major version that the wheel brings."""
    server = PostgresServer(server_directory(), version=request.param)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def kubernetes_api() -> Iterator[KubernetesApi]:
    """Return a pretended cluster's API server, of this test's own; processes can use it, too."""
    with KubernetesApi() as api:
        yield api
