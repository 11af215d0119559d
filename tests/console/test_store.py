"""Questions to a real database: each gets a connection that works, and leaves one that does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from fengling_gateway import schema
from fengling_gateway.console import store as module
from fengling_gateway.console.store import RefusedError, Store, StoreBusyError, StoreError
from fengling_gateway.embedded.postgres import PostgresServer
from tests.support.wait import wait_until


class Turns:
    """Stands for the reactor: runs what threads ask for at once, one after the other."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def callFromThread(self, call: Any, *args: Any, **kwargs: Any) -> None:
        with self._lock:
            call(*args, **kwargs)


def answered(waiting: Deferred[Any], timeout: float = 30) -> Any:
    """Return what comes of a question."""
    found: list[Any] = []
    waiting.addBoth(found.append)
    wait_until(lambda: found, timeout=timeout)
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


def value(connection: Any, query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
        return None if row is None else row[0]


@pytest.fixture
def store(migrated_database: str) -> Iterator[Store]:
    with running(migrated_database) as store:
        yield store


def started(dsn: str) -> Store:
    store = Store(reactor=Turns(), dsn=dsn, connections=2, application="test-store")
    store.start()
    return store


@contextmanager
def running(dsn: str) -> Iterator[Store]:
    store = started(dsn)
    try:
        yield store
    finally:
        answered(store.stop())


PID = "SELECT pg_backend_pid()"


def test_question_has_a_connection_of_its_own(store: Store) -> None:
    """As many at a time as there may be; afterwards they are used again."""
    meeting = threading.Barrier(2)

    def ask(connection: Any) -> Any:
        pid = value(connection, PID)
        meeting.wait(20)
        return pid

    both = [store.run(ask), store.run(ask)]
    pids = {answered(one) for one in both}
    assert len(pids) == 2
    assert answered(store.run(value, PID)) in pids
    assert (store.questions, store.failures) == (3, 0)


def test_names_without_a_schema_are_those_of_postgresql(store: Store) -> None:
    """Whatever the database or the role says."""
    assert answered(store.run(value, "SHOW search_path")) == "pg_catalog, pg_temp"
    assert answered(store.run(value, "SHOW application_name")) == "test-store"


def test_what_is_left_open_is_rolled_back(store: Store) -> None:
    """Also by one that fails; and so is how it set its transaction."""

    def leave(connection: Any, fail: bool) -> None:
        connection.set_session(isolation_level="SERIALIZABLE")
        value(connection, "INSERT INTO fengling.service (id) VALUES ('left') RETURNING id")
        connection.notices.append("said")
        if fail:
            raise LookupError("of the question")

    def look(connection: Any) -> Any:
        said = list(connection.notices)
        return said, value(connection, "SHOW transaction_isolation"), value(connection, COUNT)

    answered(store.run(leave, False))
    with pytest.raises(LookupError, match="of the question"):
        answered(store.run(leave, True))
    assert answered(store.run(look)) == ([], "read committed", 0)
    assert store.failures == 0


COUNT = "SELECT count(*) FROM fengling.service"


def test_what_the_database_refuses_is_told_with_its_hint(store: Store) -> None:
    """It is a mistake of who asks, not a fault of the database."""

    def write(connection: Any) -> None:
        value(connection, "INSERT INTO fengling.service (id) VALUES ('no spaces') RETURNING id")

    with pytest.raises(RefusedError):
        answered(store.run(write))
    with pytest.raises(RefusedError) as caught:
        answered(store.run(value, "DO $$ BEGIN RAISE 'no' USING HINT = 'ask'; END $$"))
    assert (str(caught.value), caught.value.hint) == ("no", "ask")
    assert store.failures == 0
    assert answered(store.run(value, COUNT)) == 0


def test_connection_that_was_cut_is_replaced(store: Store, migrated_database: str) -> None:
    """One that was idle unseen; of one in use its question fails."""
    pid = answered(store.run(value, PID))
    end(migrated_database, pid)
    assert answered(store.run(value, PID)) != pid
    assert store.failures == 0

    def cut(connection: Any) -> Any:
        end(migrated_database, value(connection, PID))
        return value(connection, PID)

    with pytest.raises(StoreError, match="broke"):
        answered(store.run(cut))
    assert store.failures == 1
    assert answered(store.run(value, COUNT)) == 0


def end(dsn: str, pid: int) -> None:
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    connection.close()


def test_statement_that_takes_too_long_is_ended(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    """By the server; the connection is kept."""
    monkeypatch.setattr(module, "STEP_SECONDS", 0.2)
    pid = answered(store.run(value, PID))
    with pytest.raises(StoreError, match="statement timeout"):
        answered(store.run(value, "SELECT pg_sleep(20)"))
    assert answered(store.run(value, PID)) == pid


def test_too_many_questions_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, migrated_database: str
) -> None:
    """Those that wait are answered."""
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    with running(migrated_database) as store:
        go = threading.Event()

        def ask(connection: Any, go: threading.Event = go) -> bool:
            return go.wait(20)

        waiting = [store.run(ask) for _ in range(5)]
        for _ in range(2):
            with pytest.raises(StoreBusyError):
                answered(store.run(ask))
        go.set()
        assert [answered(one) for one in waiting] == [True] * 5
        assert answered(store.run(value, COUNT)) == 0


def test_end_waits_for_what_is_under_way(migrated_database: str) -> None:
    """And refuses what comes then."""
    store = started(migrated_database)
    began, go = threading.Event(), threading.Event()

    def ask(connection: Any) -> Any:
        began.set()
        go.wait(20)
        return value(connection, COUNT)

    asked = store.run(ask)
    assert began.wait(20)
    stopped = store.stop()
    with pytest.raises(StoreError, match="stopping"):
        answered(store.run(value, COUNT))
    assert not stopped.called
    go.set()
    assert answered(asked) == 0
    answered(stopped)
    answered(store.stop())


def test_end_breaks_off_what_waits_for_others(
    monkeypatch: pytest.MonkeyPatch, migrated_database: str
) -> None:
    """As a change does that waits for a lock: it fails, and nothing stays."""
    monkeypatch.setattr(module, "END_SECONDS", 0.1)
    store = started(migrated_database)
    asked = store.run(value, "SELECT pg_sleep(9)")
    other = psycopg2.connect(migrated_database)
    other.autocommit = True
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    wait_until(lambda: value(other, sleeping) == 1)
    answered(store.stop(), timeout=5)
    with pytest.raises(StoreError):
        answered(asked)
    other.close()


def test_database_that_is_away_is_said(own_postgres: PostgresServer) -> None:
    """Frozen, it is as good as away: a question ends all the same. Back, it is used again."""
    dsn = own_postgres.create_database("config")
    schema.upgrade(dsn)
    with running(dsn) as store:
        assert answered(store.run(value, COUNT)) == 0
        own_postgres.freeze()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "LOOK_SECONDS", 0.2)
            patch.setattr("fengling_gateway.schema.timed.CONNECT_SECONDS", 2)
            with pytest.raises(StoreError, match="can't be reached"):
                answered(store.run(value, COUNT))
        own_postgres.thaw()
        assert answered(store.run(value, COUNT)) == 0
        own_postgres.stop()
        with pytest.raises(StoreError, match="can't be reached"):
            answered(store.run(value, COUNT))
        own_postgres.start()
        assert answered(store.run(value, COUNT)) == 0
        assert store.failures == 2


def test_server_that_freezes_meanwhile_keeps_nobody(
    monkeypatch: pytest.MonkeyPatch, own_postgres: PostgresServer
) -> None:
    """The connection is given up."""
    dsn = own_postgres.create_database("config")
    schema.upgrade(dsn)
    monkeypatch.setattr(module, "STEP_SECONDS", 1.0)
    with running(dsn) as store:

        def freeze(connection: Any) -> Any:
            value(connection, COUNT)
            own_postgres.freeze()
            return value(connection, COUNT)

        try:
            with pytest.raises(StoreError, match="no answer"):
                answered(store.run(freeze))
        finally:
            own_postgres.thaw()
        assert answered(store.run(value, COUNT)) == 0


def test_database_without_the_schema_is_said(fresh_database: str) -> None:
    """And no connection to it is kept."""
    with running(fresh_database) as store:
        with pytest.raises(StoreError, match="schema"):
            answered(store.run(value, "SELECT 1"))
        other = psycopg2.connect(fresh_database)
        other.autocommit = True
        wait_until(lambda: value(other, OURS) == 0)
        other.close()


OURS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'test-store' AND datname = current_database()
"""
