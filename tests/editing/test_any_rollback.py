"""Rolling back any history to any of its revisions."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fengling_gateway.editing.changes import Ownership, Planned, plan
from fengling_gateway.editing.history import difference, entity_at
from fengling_gateway.editing.images import shown_image
from fengling_gateway.editing.planning import WRITABLE_KINDS
from fengling_gateway.editing.rollback import make_rollback
from fengling_gateway.editing.rows import read_rows
from fengling_gateway.editing.transaction import Signature, write
from fengling_gateway.model.entity import KINDS_WITHOUT_PAST, Key
from tests.cli.configurations import Rows, configurations

_FORCED = Signature(force=True)
_KEPT = {"version", "updated_at", "created_at"}
_ACCESS = {"enabled", "digest", "expires_at"}


@pytest.fixture
def held(migrated_database: str) -> Any:
    connection = psycopg2.connect(migrated_database)
    yield connection
    connection.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    history=st.lists(configurations(), min_size=1, max_size=3),
    back=st.lists(st.integers(0, 9), max_size=3),
)
def test_any_revision_can_be_gone_back_to(held: Any, history: list[Rows], back: list[int]) -> None:
    """It brings back exactly the entities of then; and nobody who was shut out since."""
    held.rollback()
    states: dict[int, Rows] = {newest(held): read_rows(held, WRITABLE_KINDS)}
    for wanted in history:
        write(held, changes_to(wanted, held), _FORCED)
        states[newest(held)] = read_rows(held, WRITABLE_KINDS)
    for number in back:
        target = sorted(states)[number % len(states)]
        before = read_rows(held, WRITABLE_KINDS)
        held.rollback()
        planned, judged = make_rollback(held, to=target)
        if planned.changes:
            write(held, planned.changes, _FORCED, judged.refers_to)
        after = read_rows(held, WRITABLE_KINDS)
        assert written(after) == written(states[target])
        assert let_in(after) <= let_in(before) | clients_back(before, after)
        assert {key for key, _ in let_in(after)} <= {key for key, _ in let_in(states[target])}
        states[newest(held)] = after
    held.rollback()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(history=st.lists(configurations(), min_size=2, max_size=3))
def test_any_history_tells_what_there_was(held: Any, history: list[Rows]) -> None:
    """Of each entity at each revision, and what lies between any two of them."""
    held.rollback()
    states: dict[int, Rows] = {newest(held): read_rows(held, WRITABLE_KINDS)}
    for wanted in history:
        write(held, changes_to(wanted, held), _FORCED)
        states[newest(held)] = read_rows(held, WRITABLE_KINDS)
    for number, state in states.items():
        for key in {key for one in states.values() for key in one}:
            assert repr(entity_at(held, key, number)) == repr(shown(state, key))
    for start, end in itertools.permutations(states, 2):
        changes = {one.key: (one.before, one.after) for one in difference(held, start, end)}
        between = {
            key: (shown(states[start], key), shown(states[end], key))
            for key in states[start].keys() | states[end].keys()
        }
        assert repr(changes) == repr({key: between[key] for key in changes}), (
            "what has changed is told as it was"
        )
        assert all(repr(a) == repr(b) for key, (a, b) in between.items() if key not in changes)
    held.rollback()


def shown(rows: Rows, key: Key) -> dict[str, Any] | None:
    return shown_image(key, rows.get(key))


def changes_to(wanted: Rows, connection: Any) -> list[Planned]:
    """Return what makes a configuration of the present one, all of it."""
    current = read_rows(connection, WRITABLE_KINDS)
    deleted = [
        Planned(key, "delete", (), {}, row["version"])
        for key, row in current.items()
        if key not in wanted
    ]
    return deleted + plan(wanted, current, Ownership(take_over=True))


def newest(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT revision FROM fengling.head")
        return int(cursor.fetchone()[0])


def written(rows: Rows) -> dict[str, str]:
    """Return what somebody has written, of clients and keys without who is let in."""
    return {
        str(key): repr(
            {
                name: value
                for name, value in sorted(row.items())
                if name not in _KEPT and not (key.kind in KINDS_WITHOUT_PAST and name in _ACCESS)
            }
        )
        for key, row in rows.items()
    }


def let_in(rows: Rows) -> set[tuple[Key, Any]]:
    """Return the clients and keys that are enabled, keys by what they are."""
    return {
        (key, row.get("digest"))
        for key, row in rows.items()
        if key.kind in KINDS_WITHOUT_PAST and row["enabled"]
    }


def clients_back(before: Rows, after: Rows) -> set[tuple[Key, Any]]:
    """Return the clients that had been deleted: they come back, without keys that let them in."""
    return {(key, None) for key in after.keys() - before.keys() if key.kind == "client"}
