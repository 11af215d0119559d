"""A database, and connections to it of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.embedded.postgres import PostgresServer
from tests.schema.session import Cast, Session


@pytest.fixture
def session(migrated_database: str) -> Iterator[Session]:
    """Return a session as in psql."""
    one = Session(migrated_database)
    yield one
    one.close()


@pytest.fixture
def connection(migrated_database: str) -> Iterator[Any]:
    """Return a connection as writers have one."""
    one = psycopg2.connect(migrated_database)
    yield one
    one.close()


@pytest.fixture
def guarded(migrated_database: str) -> Iterator[Guarded]:
    """Return a connection as a candidate has one."""
    one = Guarded(migrated_database, connect_timeout=5)
    yield one
    one.close()


@pytest.fixture
def cast(postgres: PostgresServer, _migrated_template: str) -> Iterator[Cast]:
    """Return a database of its own, and who may log in to it."""
    one = Cast(postgres)
    yield one
    one.end()
