"""What the database makes sure of about services of a cluster: who decides, and in which order."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from psycopg2 import errors

from tests.schema.session import Cast, Session
from tests.support.wait import wait_until


@pytest.fixture
def found(session: Session) -> Session:
    """Return a session in a database that knows of services `a` and `b` of a cluster."""
    session.run(
        "INSERT INTO fengling.discovered_service (namespace, name) VALUES ('n', 'a'), ('n', 'b')"
    )
    return session


class DecisionTests:
    def test_decision_by_sql_is_one_like_any_other(self, found: Session) -> None:
        """It has a number, a time, and somebody who made it."""
        found.run("UPDATE fengling.discovered_service SET state = 'approved' WHERE name = 'a'")
        assert found.rows(
            "SELECT decision > 0, decided_by = session_user, decided_at <= clock_timestamp()"
            " FROM fengling.discovered_service ORDER BY name"
        ) == [(True, True, True), (False, None, None)]

    def test_next_decision_is_not_told_as_the_ones_before(self, found: Session) -> None:
        """Whoever changes it is who has decided it; also who only changes what is asked."""
        found.run(
            "UPDATE fengling.discovered_service SET state = 'approved', decided_by = 'jane'",
            "UPDATE fengling.discovered_service SET asked = '{\"path\": \"/x\"}' WHERE name = 'b'",
            "SET fengling.author = 'joe'",
            "UPDATE fengling.discovered_service SET state = 'rejected' WHERE name = 'a'",
        )
        assert found.rows(
            "SELECT decided_by, decided_by = session_user FROM fengling.discovered_service"
            " ORDER BY name"
        ) == [("joe", False), (found.value("SELECT session_user"), True)]

    def test_what_is_approved_is_kept(self, found: Session) -> None:
        """The annotations as they are then; a rule approves whatever they come to be."""
        found.run(
            'UPDATE fengling.discovered_service SET offer = \'{"annotations": {"path": "/a"}}\'',
            "UPDATE fengling.discovered_service SET state = 'approved' WHERE name = 'a'",
            "SET fengling.by_rule = 'on'",
            "UPDATE fengling.discovered_service SET state = 'approved', decided_by = 'rule *'"
            " WHERE name = 'b'",
            "UPDATE fengling.discovered_service SET offer = '{}'",
        )
        kept = "SELECT approved FROM fengling.discovered_service ORDER BY name"
        assert found.rows(kept) == [({"path": "/a"},), (None,)]
        found.run("UPDATE fengling.discovered_service SET state = 'rejected'")
        assert found.rows(kept) == [(None,), (None,)]

    def test_what_decides_nothing_has_no_number(self, found: Session) -> None:
        """What the cluster offers, or what came of it."""
        found.run("UPDATE fengling.discovered_service SET offer = '{}', result = '{}'")
        assert found.value("SELECT max(decision) FROM fengling.discovered_service") == 0

    def test_numbers_follow_the_order_of_commits(
        self, found: Session, sessions: Callable[[], Session]
    ) -> None:
        """Or who asks for those after the newest would miss one for good."""
        first, second = sessions(), sessions()
        decide = "UPDATE fengling.discovered_service SET state = 'approved' WHERE name = '{}'"
        first.run("BEGIN", decide.format("b"))
        thread = threading.Thread(target=second.run, args=[decide.format("a")], daemon=True)
        thread.start()
        wait_until(lambda: found.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1)
        first.run("COMMIT")
        thread.join(10)
        assert found.rows("SELECT name FROM fengling.discovered_service ORDER BY decision") == [
            ("b",),
            ("a",),
        ]

    @pytest.mark.parametrize(
        "values", ["state = 'maybe'", "asked = '[]'", "comment = repeat('x', 1001)"]
    )
    def test_what_makes_no_sense_is_refused(self, found: Session, values: str) -> None:
        """By what psql shows."""
        with pytest.raises(errors.CheckViolation):
            found.run(f"UPDATE fengling.discovered_service SET {values}")

    def test_it_makes_no_revision(self, found: Session) -> None:
        """It is no configuration."""
        found.run("UPDATE fengling.discovered_service SET state = 'approved'")
        assert found.value("SELECT revision FROM fengling.head") == 0


def test_consoles_write_it_and_gateways_read_it(cast: Cast) -> None:
    """With the rights of the group roles."""
    console, gateway = cast.enter("jane"), cast.enter("gw")
    console.run(
        "UPDATE fengling.discovery SET term = term + 1, holder = 'c', heartbeat_at = now()",
        "SELECT fengling.require_discovery(1)",
        "INSERT INTO fengling.discovered_service (namespace, name) VALUES ('n', 'a')",
        "UPDATE fengling.discovered_service SET state = 'approved'",
        "INSERT INTO fengling.discovered_entity VALUES ('route', 'a', 'n/a', '{}')",
        "DELETE FROM fengling.discovered_entity",
    )
    for name in ("discovery", "discovered_service", "discovered_entity"):
        gateway.run(f"SELECT * FROM fengling.{name}")
        with pytest.raises(errors.InsufficientPrivilege):
            gateway.run(f"DELETE FROM fengling.{name}")
    with pytest.raises(errors.InsufficientPrivilege):
        console.run("DELETE FROM fengling.discovery")
