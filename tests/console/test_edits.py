"""Edits that are written, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions

from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.console.edits import PlannedEdit, write
from fengling_gateway.console.mirror import Trial
from fengling_gateway.editing.changes import Ownership, plan
from fengling_gateway.editing.transaction import Signature
from fengling_gateway.model.entity import Key
from tests.schema.session import Session

KEY = Key("service", "orders")


class Overtaken(extensions.connection):
    """Something happens at once after its commit."""

    then: Callable[[], object] | None = None

    def commit(self) -> None:
        super().commit()
        if self.then is not None:
            self.then()


@pytest.fixture
def connection(migrated_database: str) -> Iterator[Any]:
    one = psycopg2.connect(migrated_database, connection_factory=Overtaken)
    yield one
    one.close()


def a_service(**fields: Any) -> PlannedEdit:
    changes = plan({KEY: {"id": KEY.id, "labels": {}, **fields}}, {}, Ownership())
    return PlannedEdit(tuple(changes), {}, Trial({}, {}, {}, ()), frozenset(), UpstreamNetworks())


def test_what_was_written_is_told_and_not_what_others_wrote_then(
    connection: Any, migrated_database: str
) -> None:
    """Or who sends its version along would overwrite what he has never seen."""
    other = Session(migrated_database)
    connection.then = lambda: other.run(
        "UPDATE fengling.service SET name = 'theirs' WHERE id = 'orders'"
    )
    committed, row = write(connection, a_service(name="mine"), Signature(), KEY)
    assert committed.revision is not None
    assert row is not None
    assert row["name"] == "mine"
    newer = other.value("SELECT version FROM fengling.service")
    assert row["version"] < newer
    other.close()


def test_what_is_committed_is_not_told_to_have_failed(connection: Any) -> None:
    """When the connection breaks right after that."""
    connection.then = connection.close
    committed, row = write(connection, a_service(name="mine"), Signature(), KEY)
    assert committed.revision is not None
    assert row is not None
    assert row["name"] == "mine"
