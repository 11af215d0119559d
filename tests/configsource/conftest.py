"""Config sources on real databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.configsource.postgres_source import SourceInTest
from tests.schema.session import Session


@pytest.fixture
def sources() -> Iterator[Callable[..., SourceInTest]]:
    """Return a function that starts a source; all are stopped after the test."""
    started: list[SourceInTest] = []

    def start(dsn: str, **settings: Any) -> SourceInTest:
        started.append(SourceInTest(dsn, **settings))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def session(migrated_database: str) -> Iterator[Session]:
    """Return a session in a database of the test's own."""
    session = Session(migrated_database)
    yield session
    session.close()


@pytest.fixture
def source(sources: Callable[..., SourceInTest], migrated_database: str) -> SourceInTest:
    """Return a running source of that database."""
    return sources(migrated_database)
