"""Taking a revision back."""

from __future__ import annotations

import pytest
from psycopg2 import errors

from tests.schema.session import Session, add_routes, add_service, changes


@pytest.fixture
def session(session: Session) -> Session:
    """Return a session with a service in revision 1 and three routes in revision 2."""
    add_service(session, "hello", "v2")
    add_routes(session, 3)
    return session


class UndoTests:
    """The opposite changes, as a revision of their own."""

    def test_update_is_taken_back(self, session: Session) -> None:
        """Every column but the bookkeeping."""
        session.run(
            'UPDATE fengling.route SET service_id = NULL, split = \'{"hello": 1, "v2": 1}\','
            " policies = '{\"retry\": null}' WHERE id = 'r1'"
        )
        assert session.value("SELECT fengling.undo(4)") == "undid 1 change of revision 4"
        assert session.rows(
            "SELECT service_id, split, policies FROM fengling.route WHERE id = 'r1'"
        ) == [("hello", None, {})]
        assert session.value("SELECT comment FROM fengling.revision WHERE id = 5") == (
            "undo of revision 4"
        )

    def test_deletion_and_creation_are_taken_back_together(self, session: Session) -> None:
        """A whole transaction, in one."""
        session.run("BEGIN", "SET LOCAL fengling.force = on", "DELETE FROM fengling.route")
        session.run("DELETE FROM fengling.service", "INSERT INTO fengling.tenant (id) VALUES ('t')")
        session.run("INSERT INTO fengling.setting VALUES ('hold', '{}')", "COMMIT")
        assert session.value("SELECT fengling.undo(4)") == "undid 7 changes of revision 4"
        assert {action for _, _, action in changes(session)} == {"create", "delete"}
        assert session.value("SELECT count(*) FROM fengling.route") == 3
        assert session.value("SELECT count(*) FROM fengling.setting") == 0

    def test_undo_can_be_undone(self, session: Session) -> None:
        """It is a revision like any other."""
        session.run("UPDATE fengling.service SET name = 'x'")
        session.run("SELECT fengling.undo(4)", "SELECT fengling.undo(5)")
        assert session.value("SELECT name FROM fengling.service WHERE id = 'v2'") == "x"

    def test_what_has_changed_since_is_not_overwritten(self, session: Session) -> None:
        """Somebody else's later work is worth more."""
        session.run("UPDATE fengling.service SET name = 'x'")
        session.run("UPDATE fengling.service SET name = 'y' WHERE id = 'v2'")
        with pytest.raises(
            errors.ObjectNotInPrerequisiteState, match='service "v2" has changed again since, in'
        ):
            session.run("SELECT fengling.undo(4)")
        assert session.value("SELECT name FROM fengling.service WHERE id = 'hello'") == "x"

    def test_swapped_addresses_are_taken_back(self, session: Session) -> None:
        """Neither instance can go first."""
        session.run(
            "INSERT INTO fengling.instance (id, service_id, address)"
            " VALUES ('a', 'hello', 'http://h:1'), ('b', 'hello', 'http://h:2')",
            "INSERT INTO fengling.instance_health (instance_id, health) VALUES ('a', 'healthy')",
            "BEGIN",
            "UPDATE fengling.instance SET address = 'http://h:3' WHERE id = 'a'",
            "UPDATE fengling.instance SET address = 'http://h:1' WHERE id = 'b'",
            "UPDATE fengling.instance SET address = 'http://h:2' WHERE id = 'a'",
            "COMMIT",
            "SELECT fengling.undo(6)",
        )
        assert session.rows("SELECT id, address FROM fengling.instance ORDER BY id") == [
            ("a", "http://h:1"),
            ("b", "http://h:2"),
        ]
        assert session.rows("SELECT health FROM fengling.instance_health") == [("healthy",)]

    def test_swapped_services_are_taken_back(self, session: Session) -> None:
        """What is unique is the pair."""
        session.run(
            "INSERT INTO fengling.instance (id, service_id, address)"
            " VALUES ('a', 'hello', 'http://h:1'), ('b', 'v2', 'http://h:1')",
            "BEGIN",
            "UPDATE fengling.instance SET address = 'http://h:2' WHERE id = 'a'",
            "UPDATE fengling.instance SET service_id = 'hello' WHERE id = 'b'",
            "UPDATE fengling.instance SET service_id = 'v2', address = 'http://h:1' WHERE id = 'a'",
            "COMMIT",
            "SELECT fengling.undo(5)",
        )
        assert session.rows("SELECT id, service_id FROM fengling.instance ORDER BY id") == [
            ("a", "hello"),
            ("b", "v2"),
        ]

    def test_address_given_to_another_instance_is_taken_back(self, session: Session) -> None:
        """One made and one deleted, or one made and one changed."""
        session.run(
            "INSERT INTO fengling.instance (id, service_id, address)"
            " VALUES ('b', 'hello', 'http://h:1'), ('c', 'hello', 'http://h:2')",
            "BEGIN",
            "DELETE FROM fengling.instance WHERE id = 'b'",
            "UPDATE fengling.instance SET address = 'http://h:3' WHERE id = 'c'",
            "INSERT INTO fengling.instance (id, service_id, address)"
            " VALUES ('a', 'hello', 'http://h:1'), ('d', 'hello', 'http://h:2')",
            "COMMIT",
            "SELECT fengling.undo(5)",
        )
        assert session.rows("SELECT id, address FROM fengling.instance ORDER BY id") == [
            ("b", "http://h:1"),
            ("c", "http://h:2"),
        ]

    def test_revision_that_the_log_has_in_part_is_not_undone(self, session: Session) -> None:
        """Half a revision is a state that never was."""
        session.run(
            "UPDATE fengling.route SET priority = 1",
            "UPDATE fengling.route SET priority = 2 WHERE id <> 'r1'",
            "UPDATE fengling.service SET name = 'x'",
            "SELECT fengling.prune(keep => '0')",
        )
        with pytest.raises(
            errors.ObjectNotInPrerequisiteState,
            match="of the 3 changes of revision 4, the log still has 1",
        ):
            session.run("SELECT fengling.undo(4)")
        assert session.value("SELECT priority FROM fengling.route WHERE id = 'r1'") == 1

    def test_unknown_revision_is_an_error(self, session: Session) -> None:
        """A typing error must not pass for success."""
        with pytest.raises(errors.NoDataFound, match="revision 99 changed no configuration"):
            session.run("SELECT fengling.undo(99)")


class RecountTests:
    """After triggers were off."""

    def test_routes_are_counted_anew(self, session: Session) -> None:
        """Whoever loads in replica mode has to call it."""
        session.run("SET session_replication_role = replica")
        session.run("DELETE FROM fengling.route WHERE id = 'r1'")
        assert session.value("SELECT fengling.recount()") == 2
        assert session.rows("SELECT routes, baseline_routes FROM fengling.head") == [(2, 2)]
