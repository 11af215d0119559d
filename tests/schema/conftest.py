"""Sessions in a database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fengling_gateway import schema
from fengling_gateway.embedded.postgres import PostgresServer
from tests.schema.session import Cast, Session


@pytest.fixture
def sessions(migrated_database: str) -> Iterator[Callable[[], Session]]:
    """Return a function that opens a session in the test's database."""
    opened: list[Session] = []

    def open_one() -> Session:
        opened.append(Session(migrated_database))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def session(sessions: Callable[[], Session]) -> Session:
    """Return a session in an empty configuration."""
    return sessions()


@pytest.fixture(scope="module", params=[16, 18])
def any_server(request: pytest.FixtureRequest, scratch: Path) -> Iterator[PostgresServer]:
    """Return a server with the schema in its database `migrated`; a module runs on each version."""
    directory = scratch / f"{request.module.__name__}-{request.param}"
    server = PostgresServer(directory, version=request.param)
    server.start()
    schema.upgrade(server.create_database("migrated"))
    yield server
    server.stop("immediate")


@pytest.fixture
def cast(any_server: PostgresServer) -> Iterator[Cast]:
    """Return a new database on `any_server`, and who may log in to it."""
    one = Cast(any_server)
    yield one
    one.end()
