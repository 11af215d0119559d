"""What a database holds, exported and applied to itself and to another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings

from fengling_gateway.configsource.file_entities import parse_entities
from fengling_gateway.editing.changes import Ownership, Planned, plan
from fengling_gateway.editing.documents import write_document
from fengling_gateway.editing.planning import WRITABLE_KINDS
from fengling_gateway.editing.rows import read_rows
from fengling_gateway.editing.transaction import Signature, write
from tests.cli.configurations import Rows, configurations
from tests.cli.conftest import Run

_EMPTY = ";".join(
    f"DELETE FROM fengling.{kind}"
    for kind in (
        *("route", "instance", "service", "api_key", "client", "issuer", "tenant"),
        "setting",
    )
)


@pytest.fixture
def held(migrated_database: str) -> Any:
    """Return a connection to a database with the schema."""
    connection = psycopg2.connect(migrated_database)
    yield connection
    connection.close()


def changes_between(wanted: Rows, connection: Any) -> list[Planned]:
    return plan(wanted, read_rows(connection, WRITABLE_KINDS), Ownership(take_over=True))


# (The database is emptied at the beginning of each example.)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(rows=configurations())
def test_any_export_applies_to_itself(held: Any, rows: Rows) -> None:
    """Nothing is to be changed, and in an empty database it makes the same again."""
    held.rollback()
    with held.cursor() as cursor:
        cursor.execute(_EMPTY)
    held.commit()
    write(held, changes_between(rows, held), Signature(force=True))
    assert changes_between(rows, held) == [], "what is applied is there"

    stored = read_rows(held, WRITABLE_KINDS)
    for full in (False, True):
        exported = parse_entities(write_document(stored, full=full).encode()).rows
        assert changes_between(exported, held) == []
    held.rollback()
    with held.cursor() as cursor:
        cursor.execute(_EMPTY)
    write(held, plan(exported, {}, Ownership()), Signature(force=True))
    assert without_history(read_rows(held, WRITABLE_KINDS)) == without_history(stored)
    held.rollback()


def without_history(rows: Rows) -> dict[str, Any]:
    """Leave out versions and times, and what a file can't say of settings."""
    ignored = {"version", "created_at", "updated_at"}
    return {
        str(key): repr({name: value for name, value in row.items() if name not in ignored})
        for key, row in rows.items()
    }


@pytest.mark.parametrize("name", ["08", "1e5", "0o17"])
def test_ids_that_look_like_numbers_stay(
    run: Run, migrated_database: str, sql_in: Callable[..., Any], name: str
) -> None:
    """From SQL through a file and back."""
    sql_in(f"INSERT INTO fengling.service (id) VALUES ('{name}')")
    exported = run("export", "--database", migrated_database).stdout
    assert f"id: '{name}'" in exported
    assert run("diff", "-", "--database", migrated_database, stdin=exported).exit_code == 0


@pytest.fixture
def sql_in(held: Any) -> Callable[..., None]:
    def execute(statement: str) -> None:
        with held.cursor() as cursor:
            cursor.execute(statement)
        held.commit()

    return execute
