"""Who may read history, and go back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from fengling_gateway.editing.history import read_revision
from fengling_gateway.editing.retention import read_retention, set_retention
from fengling_gateway.editing.revisions import Sought, list_revisions
from fengling_gateway.editing.rollback import make_rollback
from fengling_gateway.editing.transaction import Signature, write
from fengling_gateway.embedded.postgres import PostgresServer
from tests.schema.session import Cast


@pytest.fixture
def cast(postgres: PostgresServer, _migrated_template: str) -> Iterator[Cast]:
    one = Cast(postgres)
    yield one
    one.end()


def test_writers_go_back_and_readers_look(cast: Cast) -> None:
    """With the rights of the group roles, and no more."""
    cast.enter().run(
        "INSERT INTO fengling.service (id) VALUES ('a')",
        "INSERT INTO fengling.secret (id, value) VALUES ('s', 'env:ONE')",
        "INSERT INTO fengling.instance (id, service_id, address)"
        " VALUES ('i', 'a', 'http://h:1'), ('j', 'a', 'http://h:2')",
        "BEGIN",
        "UPDATE fengling.secret SET name = 'x'",
        "UPDATE fengling.instance SET address = 'http://h:3' WHERE id = 'i'",
        "UPDATE fengling.instance SET address = 'http://h:1' WHERE id = 'j'",
        "UPDATE fengling.instance SET address = 'http://h:2' WHERE id = 'i'",
        "COMMIT",
    )
    for user in ("gw", "jane"):
        connection: Any = psycopg2.connect(cast.dsn_of(user))
        assert len(list_revisions(connection, Sought()).revisions) == 5
        assert len(read_revision(connection, 4).changes) == 3
        assert read_retention(connection).keep == "1 year"
        connection.rollback()
        planned, plan = make_rollback(connection, to=3)
        if user == "jane":
            signature = Signature(application="fenglingctl rollback")
            assert write(connection, planned.changes, signature, plan.refers_to).revision == 5
            assert set_retention(connection, keep="30 days").keep == "30 days"
        else:
            with pytest.raises(errors.InsufficientPrivilege):
                write(connection, planned.changes, Signature(), plan.refers_to)
            connection.rollback()
            with pytest.raises(errors.InsufficientPrivilege):
                set_retention(connection, keep="30 days")
        connection.close()
