"""Sessions in a database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.schema.session import Session


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
