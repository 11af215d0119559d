"""Random transactions of several writers at once, and what must hold whatever they do."""

from __future__ import annotations

import threading
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.model.entity import KINDS
from tests.schema.session import Session

IDS = ["a", "b", "c", "d"]

_one = st.sampled_from(IDS)
_statements = st.one_of(
    st.builds(
        "INSERT INTO fengling.service (id, name) VALUES ('{0}', '{1}')"
        " ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name".format,
        _one,
        st.integers(0, 3),
    ),
    st.builds(
        "INSERT INTO fengling.route (id, path, service_id, enabled)"
        " VALUES ('{0}', '/{1}', '{2}', {3}) ON CONFLICT (id) DO UPDATE"
        " SET path = EXCLUDED.path, enabled = EXCLUDED.enabled".format,
        _one,
        st.integers(0, 3),
        _one,
        st.booleans(),
    ),
    st.builds("UPDATE fengling.service SET name = '{0}'".format, st.integers(0, 3)),
    st.builds("UPDATE fengling.route SET enabled = {0}".format, st.booleans()),
    st.builds("DELETE FROM fengling.route WHERE id = '{0}'".format, _one),
    st.builds("DELETE FROM fengling.service WHERE id = '{0}'".format, _one),
    st.builds(
        "UPDATE fengling.route SET service_id = NULL, split = '{{\"{1}\": 1}}'"
        " WHERE id = '{0}'".format,
        _one,
        _one,
    ),
    st.just("TRUNCATE fengling.route"),
    st.just("SET CONSTRAINTS ALL IMMEDIATE"),
    st.just("SET CONSTRAINTS ALL DEFERRED"),
    st.just("SAVEPOINT s"),
    st.just("ROLLBACK TO s"),
)
_transactions = st.tuples(
    st.sampled_from(["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"]),
    st.lists(_statements, min_size=1, max_size=6),
    st.sampled_from(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]),
)
_writers = st.lists(st.lists(_transactions, max_size=6), min_size=2, max_size=4)


@pytest.fixture(scope="module")
def dsn(postgres: PostgresServer, _migrated_template: str) -> str:
    return postgres.create_database(template=_migrated_template)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts=_writers)
def test_random_writers_leave_a_log_without_gaps_that_tells_the_tables(
    dsn: str, scripts: list[list[tuple[str, list[str], str]]]
) -> None:
    """Numbers are contiguous, every commit is seen in order, and replaying gives the tables."""
    session = Session(dsn)
    try:
        first = _head(session)
        state = _tables(session)
        watcher = _Watcher(dsn, first)
        threads = [threading.Thread(target=_write, args=(dsn, script)) for script in scripts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = _head(session)
        assert watcher.seen_up_to(last) == list(range(first + 1, last + 1))
        _replay(session, state, first)
        assert state == _tables(session)
        assert session.rows("SELECT routes FROM fengling.head") == session.rows(
            "SELECT count(*) FROM fengling.route WHERE enabled"
        )
        assert session.rows("TABLE fengling.pending_change") == []
        assert session.rows("TABLE fengling.txn") == []
        assert (
            session.rows(
                "SELECT id FROM fengling.revision AS r WHERE changes <>"
                " (SELECT count(*) FROM fengling.revision_change AS c WHERE c.revision = r.id)"
            )
            == []
        )
    finally:
        session.close()


class _Watcher:
    """Reads with the cursor that loses rows when numbers and commits differ in order."""

    def __init__(self, dsn: str, after: int) -> None:
        self._session = Session(dsn)
        self._last = after
        self._seen: list[int] = []
        self._until: int | None = None
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while self._until is None or self._last < self._until:
            for (number,) in self._session.rows(
                "SELECT id FROM fengling.revision WHERE id > %s ORDER BY id", self._last
            ):
                self._seen.append(number)
                self._last = number
        self._session.close()

    def seen_up_to(self, revision: int) -> list[int]:
        self._until = revision
        self._thread.join(timeout=10)
        return self._seen


def _write(dsn: str, script: list[tuple[str, list[str], str]]) -> None:
    session = Session(dsn)
    session.run("SET deadlock_timeout = '20 ms'")
    for isolation, statements, end in script:
        try:
            session.run(f"BEGIN ISOLATION LEVEL {isolation}", *statements, end)
        except psycopg2.Error:
            session.run("ROLLBACK")
    session.close()


def _head(session: Session) -> int:
    number: int = session.value("SELECT revision FROM fengling.head")
    return number


def _tables(session: Session) -> dict[tuple[str, str], Any]:
    session.run("SET intervalstyle = 'iso_8601'", "SET timezone = 'UTC'")
    return {
        (kind, values.get("id") or values.get("key") or values["instance_id"]): _content(values)
        for kind in KINDS
        for (values,) in session.rows(f"SELECT to_jsonb(t) FROM fengling.{kind} AS t")
    }


def _replay(session: Session, state: dict[tuple[str, str], Any], after: int) -> None:
    for kind, entity_id, action, before, image in session.rows(
        "SELECT entity, entity_id, action, before, after FROM fengling.revision_change"
        " WHERE revision > %s ORDER BY revision, ordinal",
        after,
    ):
        key = (kind, entity_id)
        assert state.get(key) == _content(before)
        assert action == _action(before, image)
        if image is None:
            del state[key]
        else:
            state[key] = _content(image)


def _action(before: Any, after: Any) -> str:
    if before is None:
        return "create"
    return "delete" if after is None else "update"


def _content(image: dict[str, Any] | None) -> dict[str, Any] | None:
    """Leave out the bookkeeping: there and back again within a transaction moves it on."""
    if image is None:
        return None
    ignored = {"version", "created_at", "updated_at"}
    return {name: value for name, value in image.items() if name not in ignored}
