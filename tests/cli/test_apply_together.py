"""``fenglingctl apply`` while others write to the same database."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg2
import pytest

from fengling_gateway.cli import configuration
from fengling_gateway.editing import transaction
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.cli.conftest import Run, Sql, document, executor_of
from tests.support.wait import wait_until

START = """
INSERT INTO fengling.service (id) VALUES ('s'), ('other');
INSERT INTO fengling.instance (id, service_id, address) VALUES ('i', 's', 'http://a:1');
INSERT INTO fengling.instance_health (instance_id, health) VALUES ('i', 'healthy');
INSERT INTO fengling.route (id, path, service_id) VALUES ('r', '/r', 's'), ('apart', '/apart', 's');
"""
FILE = "routes: [{id: r, path: /r, service_id: s, priority: 5}]"


@pytest.fixture
def sql(sql: Sql) -> Sql:
    """Return a function that runs SQL in a database with something to change."""
    sql(START)
    return sql


@pytest.fixture
def holder(dsn: str) -> Iterator[tuple[Any, Sql]]:
    """Return a connection that begins a transaction and does not end it, and its SQL."""
    connection, execute = executor_of(dsn, autocommit=False)
    yield connection, execute
    connection.close()


@pytest.fixture
def meanwhile(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Return a function that lets statements run between reading and writing, one for each try."""

    def install(*statements: str) -> list[list[str]]:
        left = list(statements)
        tried: list[list[str]] = []
        write = transaction.write

        def somebody_is_faster(connection: Any, changes: Any, *rest: Any) -> Any:
            tried.append([f"{change.action} {change.key}" for change in changes])
            if left:
                sql(left.pop(0))
            return write(connection, changes, *rest)

        monkeypatch.setattr(transaction, "write", somebody_is_faster)
        return tried

    return install


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE fengling.instance_health SET health = 'unhealthy'",
        "UPDATE fengling.route SET priority = 9 WHERE id = 'apart'",
        "DELETE FROM fengling.route WHERE id = 'apart'",
        "INSERT INTO fengling.service (id) VALUES ('new')",
        "UPDATE fengling.service SET name = 'x' WHERE id = 'other'",
    ],
)
def test_what_is_not_its_business_does_not_disturb(
    run: Run, sql: Sql, meanwhile: Any, statement: str
) -> None:
    """Health, and entities that are neither written nor referred to."""
    tried = meanwhile(statement)
    assert run("apply", "-", stdin=FILE).exit_code == 0
    assert tried == [["update route r"]]
    assert sql("SELECT id FROM fengling.revision ORDER BY id DESC LIMIT 1") == [(3,)]


@pytest.mark.parametrize(
    ("statement", "second", "fields"),
    [
        (
            "UPDATE fengling.route SET priority = 9 WHERE id = 'r'",
            "update route r",
            {"priority": [9, 5]},
        ),
        (
            "UPDATE fengling.route SET priority = 5, enabled = false WHERE id = 'r'",
            "update route r",
            {"enabled": [False, True]},
        ),
        ("DELETE FROM fengling.route WHERE id = 'r'", "create route r", None),
        ("UPDATE fengling.service SET name = 'x' WHERE id = 's'", "update route r", None),
    ],
)
def test_what_it_changes_or_refers_to_is_compared_again(
    run: Run, sql: Sql, meanwhile: Any, statement: str, second: str, fields: Any
) -> None:
    """And what is shown is what was there when it was written over."""
    tried = meanwhile(statement)
    shown = document(run("apply", "-", "-o", "json", stdin=FILE))
    assert tried == [["update route r"], [second]]
    assert fields in (None, shown["changes"][0]["fields"])
    assert shown["revision"] == 3
    assert sql("SELECT priority, enabled FROM fengling.route WHERE id = 'r'") == [(5, True)]


def test_what_somebody_else_has_just_made_is_not_made_again(
    run: Run, sql: Sql, meanwhile: Any
) -> None:
    """It is there, and equal: nothing is left to do."""
    tried = meanwhile("INSERT INTO fengling.service (id) VALUES ('new')")
    result = run("apply", "-", stdin="services: [{id: new}]")
    assert (result.exit_code, result.stdout) == (0, "nothing to change\n")
    assert tried == [["create service new"]]


def test_what_has_a_new_owner_is_not_pruned(run: Run, sql: Sql, meanwhile: Any) -> None:
    """It was to be deleted a moment ago."""
    sql("UPDATE fengling.route SET managed_by = 'git:a'")
    tried = meanwhile("UPDATE fengling.route SET managed_by = 'ui' WHERE id = 'r'")
    arguments = ("apply", "-", "--managed-by", "git:a", "--prune")
    assert run(*arguments, stdin="services: [{id: s}]").exit_code == 0
    assert tried == [
        ["update service s", "delete route apart", "delete route r"],
        ["update service s", "delete route apart"],
    ]
    assert sql("SELECT id FROM fengling.route") == [("r",)]


def test_what_it_refers_to_is_missed_in_plain_words(run: Run, sql: Sql, meanwhile: Any) -> None:
    """With the line, not with the name of a foreign key."""
    tried = meanwhile("DELETE FROM fengling.service WHERE id = 'other'")
    result = run("apply", "-", stdin="routes: [{id: r, path: /r, split: {s: 1, other: 1}}]")
    assert (result.exit_code, len(tried)) == (2, 1)
    assert "-:1" in result.stdout
    assert "other" in result.stdout
    assert "the files have errors" in result.stderr


def test_it_gives_up_and_says_which_entity_keeps_changing(
    run: Run, sql: Sql, meanwhile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And has done nothing."""
    monkeypatch.setattr(configuration, "PATIENCE_SECONDS", 0)
    change = "UPDATE fengling.route SET priority = priority + 10 WHERE id = 'r'"
    rename = "UPDATE fengling.service SET name = name || 'x' WHERE id = 's'"
    meanwhile(change, f"{change};{rename}", change)
    more = "{id: apart, path: /apart2, service_id: s}"
    result = run("apply", "-", stdin=FILE.replace("]", f", {more}]"))
    assert result.exit_code == 2
    assert "nothing is applied" in result.stderr
    assert "route r (2×), service s (1×)" in result.stderr
    assert sql("SELECT path FROM fengling.route WHERE id = 'apart'") == [("/apart",)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE fengling.route SET priority = 1 WHERE id = 'r'",
        # What an open confirmation holds, and with it every COMMIT.
        "SELECT FROM fengling.head FOR NO KEY UPDATE",
    ],
)
def test_what_others_hold_is_waited_for_and_not_forever(
    run: Run, sql: Sql, holder: tuple[Any, Sql], monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Somebody has forgotten his COMMIT."""
    monkeypatch.setattr(configuration, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(transaction, "LOCK_TIMEOUT", "20ms")
    connection, hold = holder
    hold(statement)
    result = run("apply", "-", stdin=FILE)
    assert result.exit_code == 2
    assert "nothing is applied: the database is busy: " in result.stderr
    connection.rollback()
    assert run("apply", "-", stdin=FILE).exit_code == 0


def test_a_connection_that_breaks_at_commit_leaves_a_question(
    run: Run, sql: Sql, holder: tuple[Any, Sql]
) -> None:
    """It neither claims success nor failure."""
    holder[1]("SELECT FROM fengling.head FOR NO KEY UPDATE")

    def cut() -> Any:
        return sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT'"
            " AND application_name LIKE 'fenglingctl%%' AND datname = current_database()"
            " AND wait_event_type = 'Lock'"
        )

    with ThreadPoolExecutor(1) as executor:
        applied = executor.submit(run, "apply", "-", stdin=FILE)
        wait_until(cut)
        result = applied.result(30)
    assert result.exit_code == 2
    assert "applied or not, which `fenglingctl diff` tells" in result.stderr


def test_notices_are_seen_whatever_the_role_says(run: Run, sql: Sql, dsn: str) -> None:
    """The number of the revision comes with one."""
    database = dsn.rpartition("/")[2]
    sql(f'ALTER DATABASE "{database}" SET client_min_messages = error')
    assert run("apply", "-", stdin=FILE).stdout.splitlines()[-1] == "revision 2 (1 change)"


def test_every_revision_is_what_its_table_shows(run: Run, sql: Sql, dsn: str) -> None:
    """While others change the same entities, other ones, and health, as fast as they can."""
    sql("INSERT INTO fengling.service (id) SELECT 's' || n FROM generate_series(1, 8) AS n")
    stop = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        writers = [executor.submit(_write_anything, dsn, seed, stop) for seed in range(2)]
        try:
            shown = [_apply_something(run, number) for number in range(12)]
        finally:
            stop.set()
        assert all(writer.result() > 0 for writer in writers)
    made = [one for one in shown if one is not None and one["changes"]]
    assert made, "somebody has to get through"
    for one in made:
        assert _table(one["changes"]) == _log(sql, one["revision"])


def _write_anything(dsn: str, seed: int, stop: threading.Event) -> int:
    chance = random.Random(seed)
    connection, execute = executor_of(dsn, autocommit=True)
    count = 0
    while not stop.is_set():
        service = f"s{chance.randint(1, 8)}"
        statement = chance.choice(
            [
                f"UPDATE fengling.service SET name = '{count}' WHERE id = '{service}'",
                f"DELETE FROM fengling.service WHERE id = '{service}'",
                f"INSERT INTO fengling.service (id) VALUES ('{service}')",
                f"UPDATE fengling.instance_health SET health = 'healthy', reason = '{count}'",
                f"UPDATE fengling.route SET priority = {count} WHERE id = 'apart'",
            ]
        )
        with suppress(psycopg2.IntegrityError, psycopg2.errors.DeadlockDetected):
            execute(statement)
            count += 1
        # As often as a busy console: it has to get a word in now and then.
        stop.wait(0.02)
    connection.close()
    return count


def _apply_something(run: Run, number: int) -> Any:
    services = [{"id": f"s{n}", "name": f"applied {number}"} for n in range(1, 9, 1 + number % 3)]
    result = run("apply", "-", "-o", "json", stdin=json.dumps({"services": services}))
    assert result.exit_code in (0, 2)
    return document(result) if result.exit_code == 0 else None


def _table(changes: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{one['action']} {one['kind']} {one['id']}": one["fields"] for one in changes}


def _log(sql: Sql, revision: int) -> dict[str, Any]:
    rows = sql(
        "SELECT action, entity, entity_id, before::text, after::text"
        " FROM fengling.revision_change WHERE revision = %s",
        revision,
    )
    found = {}
    for action, kind, name, before, after in rows:
        old, new = (_body(Key(kind, name), text) for text in (before, after))
        found[f"{action} {kind} {name}"] = {
            field: [old.get(field), new[field]]
            for field in new
            if field != "id" and old.get(field) != new[field]
        }
    return found


def _body(key: Key, text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    verdict = validate(key, json.loads(text))
    assert isinstance(verdict, Accepted)
    body: dict[str, Any] = json.loads(verdict.body)
    return body
