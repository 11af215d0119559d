"""A database that people have written to in all the ways there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from tests.schema.session import Session


@pytest.fixture
def session(migrated_database: str) -> Iterator[Session]:
    """Return a session as in psql, in an empty configuration."""
    one = Session(migrated_database)
    yield one
    one.close()


@pytest.fixture
def connection(migrated_database: str) -> Iterator[Any]:
    """Return what the functions of `fengling_gateway.editing` are given."""
    one = psycopg2.connect(migrated_database)
    yield one
    one.close()
