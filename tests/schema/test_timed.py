"""Commands against a server that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from fengling_gateway import schema
from fengling_gateway.cli import database
from fengling_gateway.editing import planning, transaction
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.schema import SchemaError, migrate, timed, version
from fengling_gateway.schema.timed import TimedConnection, connect_timed
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.schema.session import Session
from tests.support.wait import wait_until

NO_ANSWER = "no answer from the server within 1 s"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step take a second."""
    for module in (timed, migrate):
        monkeypatch.setattr(module, "STATEMENT_SECONDS", 0.75)
        monkeypatch.setattr(module, "GRACE_SECONDS", 0.25)


@pytest.fixture
def freeze_before(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Any, str], None]]:
    """Return a function that lets the server freeze when a function is called."""

    def install(module: Any, name: str) -> None:
        function = getattr(module, name)

        def frozen(*arguments: Any, **options: Any) -> Any:
            postgres.freeze()
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, frozen)

    yield install
    postgres.thaw()


@pytest.fixture
def within_reason(postgres: PostgresServer) -> Iterator[Callable[..., Any]]:
    """Return a function that calls another, and lets the test fail and not hang if it hangs."""
    executor = ThreadPoolExecutor(1)

    def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return executor.submit(function, *arguments, **options).result(30)

    yield call
    postgres.thaw()
    executor.shutdown()


@pytest.mark.usefixtures("impatient")
class FrozenTests:
    @pytest.mark.parametrize(
        ("where", "arguments"),
        [
            ((version, "status_of"), ("db", "status")),
            ((migrate, "_refuse_unfit"), ("db", "upgrade")),
            ((database, "check"), ("export",)),
            ((planning, "read_rows"), ("diff", "-")),
            ((planning, "read_rows"), ("apply", "-")),
        ],
    )
    def test_command_ends(
        self,
        run: Run,  # noqa: F811
        migrated_database: str,
        freeze_before: Any,
        within_reason: Any,
        where: tuple[Any, str],
        arguments: tuple[str, ...],
    ) -> None:
        """With status 2 and one line that says why, wherever it was."""
        freeze_before(*where)
        text = "services: [{id: s}]"
        result = within_reason(run, *arguments, "--database", migrated_database, stdin=text)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert NO_ANSWER in result.stderr

    def test_commit_that_is_not_answered_leaves_a_question(
        self,
        run: Run,  # noqa: F811
        migrated_database: str,
        freeze_before: Any,
        within_reason: Any,
    ) -> None:
        """Nobody knows whether it happened."""
        freeze_before(transaction, "_commit")
        result = within_reason(
            *(run, "apply", "-", "--database", migrated_database), stdin="services: [{id: s}]"
        )
        assert (result.exit_code, NO_ANSWER in result.stderr) == (2, True)
        assert "applied or not" in result.stderr

    def test_migration_ends(
        self,
        fresh_database: str,
        freeze_before: Any,
        within_reason: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """In the middle of it."""
        monkeypatch.setattr(migrate, "LONGEST_STATEMENT_SECONDS", 0)
        freeze_before(migrate.command, "upgrade")
        with pytest.raises(SchemaError, match=f"upgrade failed: {NO_ANSWER}"):
            within_reason(schema.upgrade, fresh_database, lock_timeout_seconds=0.75)


class StepTests:
    @pytest.fixture
    def connection(self, fresh_database: str) -> Iterator[TimedConnection]:
        connection = connect_timed(fresh_database, "test")
        yield connection
        connection.close()

    def test_connection_is_one_of_psycopg2(self, connection: TimedConnection) -> None:
        """Everybody's cursors, rollbacks and commits."""
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (n int)")
            cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,)])
            connection.commit()
            cursor.execute("DELETE FROM t")
            connection.rollback()
            cursor.execute("SELECT count(*) FROM t")
            assert cursor.fetchall() == [(2,)]

    def test_step_that_ends_in_time_leaves_no_timer(self, connection: TimedConnection) -> None:
        """It would break the connection in the middle of another one."""
        before = threading.active_count()
        for _ in range(20):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        wait_until(lambda: threading.active_count() <= before)

    def test_step_that_takes_too_long_breaks_the_connection(
        self, connection: TimedConnection
    ) -> None:
        """And its error says after how long; the server's own errors stay what they are."""
        with connection.cursor() as cursor, pytest.raises(psycopg2.errors.SyntaxError):
            cursor.execute("no SQL")
        connection.rollback()
        connection.step_seconds = 0.05
        with (
            connection.cursor() as cursor,
            pytest.raises(psycopg2.OperationalError, match=r"^no answer .* within 0.05 s$"),
        ):
            cursor.execute("SELECT pg_sleep(60)")
        assert connection.closed


class LockTests:
    @pytest.mark.parametrize("seconds", [0.05, 0.0001])
    def test_upgrade_waits_for_another_one_and_not_for_ever(
        self, migrated_database: str, seconds: float, within_reason: Any
    ) -> None:
        """A session that hangs must not let all others hang."""
        other = Session(migrated_database)
        other.run(f"SELECT pg_advisory_lock({migrate._LOCK_ID})")
        with pytest.raises(SchemaError, match=f"another upgrade .* within {seconds:g} s"):
            within_reason(schema.upgrade, migrated_database, lock_timeout_seconds=seconds)
        other.close()
        assert schema.upgrade(migrated_database).usable
