"""A database, and connections to it of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from fengling_gateway.configsource.postgres_connection import Guarded
from tests.schema.session import Session


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
