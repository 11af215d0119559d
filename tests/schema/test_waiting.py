"""How long writers wait for one another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg2 import errors

from tests.schema.session import Cast, Session, add_routes, add_service
from tests.support.wait import wait_until


@pytest.fixture
def owner(cast: Cast) -> Session:
    """Return a session in a configuration of four routes: revision 2."""
    session = cast.enter()
    add_service(session, "a")
    add_routes(session, 4, service="a")
    return session


class ForgottenCommitTests:
    """Somebody has the lock and has gone for lunch."""

    @pytest.fixture(autouse=True)
    def _lunch(self, cast: Cast, owner: Session) -> Iterator[None]:
        owner.run("DELETE FROM fengling.route")  # revision 3, held
        away = cast.enter("jane")
        away.run("BEGIN", "UPDATE fengling.service SET name = 'x'", "SET CONSTRAINTS ALL IMMEDIATE")
        yield
        away.run("ROLLBACK")

    def _shorten(self, owner: Session) -> None:
        definition = owner.value("SELECT pg_get_functiondef('fengling.wait_for_head'::regproc)")
        assert definition.count("'10s'") == 1
        owner.run(definition.replace("'10s'", "'50ms'"))

    @pytest.mark.parametrize("statements", [("BEGIN", "COMMIT"), ()])
    def test_commit_fails_after_a_while(
        self, cast: Cast, owner: Session, statements: tuple[str, ...]
    ) -> None:
        """PostgreSQL's own limit on statements does not hold at COMMIT."""
        self._shorten(owner)
        jane = cast.enter("jane")
        with pytest.raises(errors.LockNotAvailable):
            jane.run(
                *statements[:1], "INSERT INTO fengling.service (id) VALUES ('b')", *statements[1:]
            )

    def test_own_limit_is_kept(self, cast: Cast) -> None:
        """Who wants to wait less does; who has set a limit finds it unchanged afterwards."""
        jane = cast.enter("jane")
        jane.run("SET lock_timeout = '20ms'")
        with pytest.raises(errors.LockNotAvailable):
            jane.run("INSERT INTO fengling.service (id) VALUES ('b')")
        assert jane.value("SHOW lock_timeout") == "20ms"

    def test_confirming_fails_after_a_while(self, cast: Cast, owner: Session) -> None:
        """The management API has to answer."""
        self._shorten(owner)
        with pytest.raises(errors.LockNotAvailable):
            cast.enter("gw").run("SELECT fengling.confirm(3)")


class ReaderTests:
    """Who may only read stops nobody."""

    @pytest.mark.parametrize("revision", [0, 1, 2])
    def test_confirming_what_is_not_held_takes_no_lock(
        self, cast: Cast, owner: Session, revision: int
    ) -> None:
        """Also in a transaction that never ends."""
        reader = cast.enter("gw")
        reader.run("BEGIN", f"SELECT fengling.confirm({revision})")
        jane = cast.enter("jane")
        jane.run("SET lock_timeout = '20ms'", "UPDATE fengling.route SET priority = 1")
        reader.run("ROLLBACK")

    def test_confirming_what_does_not_exist_takes_no_lock(self, cast: Cast, owner: Session) -> None:
        """It is an error, which ends the statement and not the transaction's locks."""
        reader = cast.enter("gw")
        reader.run("BEGIN", "SAVEPOINT s")
        with pytest.raises(errors.NoDataFound):
            reader.run("SELECT fengling.confirm(99)")
        reader.run("ROLLBACK TO s")
        jane = cast.enter("jane")
        jane.run("SET lock_timeout = '20ms'", "UPDATE fengling.route SET priority = 1")
        reader.run("ROLLBACK")

    def test_confirming_what_comes_at_that_moment_is_an_error(
        self, cast: Cast, owner: Session
    ) -> None:
        """It was not there when the lock was decided upon, without which nothing may be written."""
        reader = cast.enter("gw")
        reader.run("SELECT fengling.confirm(1)")  # so that it looks up no more types
        owner.run("BEGIN", "LOCK TABLE fengling.revision", "DELETE FROM fengling.route")
        with ThreadPoolExecutor(1) as thread:
            confirming = thread.submit(reader.run, "SELECT fengling.confirm(3)")
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            wait_until(lambda: owner.value(f"{waiting} AND datname = current_database()") == 1)
            owner.run("COMMIT")
            with pytest.raises(errors.NoDataFound, match="there is no revision 3"):
                confirming.result(timeout=20)
        assert owner.value("SELECT baseline_revision FROM fengling.head") == 2
