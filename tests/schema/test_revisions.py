"""What makes a revision, and what one holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from psycopg2 import errors

from tests.schema.session import Session, add_routes, add_service, changes, revisions
from tests.support.wait import wait_until


class RevisionPerTransactionTests:
    """Exactly one for each transaction that changes something."""

    def test_one_statement_makes_one_revision_and_says_so(self, session: Session) -> None:
        """A statement on its own is a transaction; COMMIT prints the number."""
        add_service(session, "hello")
        assert revisions(session) == [1]
        assert changes(session) == [("service", "hello", "create")]
        assert session.notices == ["NOTICE:  fengling: revision 1 (1 change)"]

    def test_several_statements_make_one_revision(self, session: Session) -> None:
        """The number comes at COMMIT, so a transaction has one however much it does."""
        session.run("BEGIN")
        add_service(session, "hello", "world")
        add_routes(session, 3)
        session.run("COMMIT")
        assert revisions(session) == [1]
        assert len(changes(session)) == 5
        assert session.notices == ["NOTICE:  fengling: revision 1 (5 changes)"]

    def test_rollback_leaves_no_gap(self, session: Session) -> None:
        """What is rolled back has no number."""
        add_service(session, "a")
        session.run("BEGIN", "INSERT INTO fengling.service (id) VALUES ('b')", "ROLLBACK")
        add_service(session, "c")
        assert revisions(session) == [1, 2]

    def test_savepoint_rolled_back_is_not_in_it(self, session: Session) -> None:
        """Notes of changes are rows, so they go with the savepoint."""
        session.run("BEGIN")
        add_service(session, "a")
        session.run("SAVEPOINT here", "UPDATE fengling.service SET name = 'A'")
        add_service(session, "b")
        session.run("ROLLBACK TO here")
        add_service(session, "c")
        session.run("COMMIT")
        assert changes(session) == [("service", "a", "create"), ("service", "c", "create")]
        assert session.value(
            "SELECT after ->> 'name' FROM fengling.revision_change WHERE entity_id = 'a'"
        ) == ("")

    def test_first_change_in_a_savepoint_rolled_back_still_counts_later(
        self, session: Session
    ) -> None:
        """The row in txn vanishes with the savepoint and is made again by the next change."""
        session.run("BEGIN", "SAVEPOINT here")
        add_service(session, "a")
        session.run("ROLLBACK TO here")
        add_service(session, "b")
        session.run("COMMIT")
        assert changes(session) == [("service", "b", "create")]

    def test_savepoint_rolled_back_alone_makes_no_revision(self, session: Session) -> None:
        """Nothing is left to be recorded."""
        session.run("BEGIN", "SAVEPOINT here")
        add_service(session, "a")
        session.run("ROLLBACK TO here", "COMMIT")
        assert revisions(session) == []

    def test_failed_statement_in_a_block_that_catches_it_is_not_in_it(
        self, session: Session
    ) -> None:
        """A plpgsql EXCEPTION block is a savepoint."""
        add_service(session, "a")
        session.run(
            """
            DO $$ BEGIN
                UPDATE fengling.service SET name = 'outer';
                BEGIN
                    INSERT INTO fengling.service (id) VALUES ('b');
                    RAISE EXCEPTION 'no';
                EXCEPTION WHEN raise_exception THEN NULL;
                END;
            END $$
            """
        )
        assert changes(session) == [("service", "a", "update")]

    def test_nothing_left_of_a_transaction_in_the_working_tables(self, session: Session) -> None:
        """They are empty whenever nobody is in a transaction."""
        add_service(session, "hello")
        session.run("BEGIN", "UPDATE fengling.service SET name = 'x'", "ROLLBACK")
        assert session.rows("TABLE fengling.txn") == []
        assert session.rows("TABLE fengling.pending_change") == []


class NothingChangedTests:
    """What changes nothing makes no revision."""

    def test_update_to_the_same_makes_no_revision_and_keeps_the_version(
        self, session: Session
    ) -> None:
        """The ETag of an entity nobody changed stays."""
        add_service(session, "hello")
        before = session.rows("SELECT version, updated_at FROM fengling.service")
        session.run("UPDATE fengling.service SET name = name, enabled = true")
        assert revisions(session) == [1]
        assert session.rows("SELECT version, updated_at FROM fengling.service") == before

    def test_update_of_no_rows_makes_no_revision(self, session: Session) -> None:
        """Statement triggers fire also for nothing."""
        session.run("UPDATE fengling.route SET priority = 1", "DELETE FROM fengling.route")
        assert revisions(session) == []

    def test_there_and_back_again_makes_no_revision(self, session: Session) -> None:
        """A transaction is judged by its result."""
        add_service(session, "hello")
        session.run(
            "BEGIN",
            "UPDATE fengling.service SET name = 'x'",
            "UPDATE fengling.service SET name = ''",
            "INSERT INTO fengling.tenant (id) VALUES ('short-lived')",
            "DELETE FROM fengling.tenant",
            "COMMIT",
        )
        assert revisions(session) == [1]

    def test_upsert_of_the_same_makes_no_revision(self, session: Session) -> None:
        """What an apply tool does all day."""
        add_service(session, "hello")
        session.run(
            "INSERT INTO fengling.service (id, name) VALUES ('hello', '')"
            " ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name"
        )
        assert revisions(session) == [1]

    def test_number_written_otherwise_is_a_change(self, session: Session) -> None:
        """1 and 1.0 are equal as jsonb, but not as bytes that hosts compare."""
        session.run(
            "INSERT INTO fengling.setting (key, value) VALUES ('hold', '{\"x-a\": 1}')",
            "UPDATE fengling.setting SET value = '{\"x-a\": 1.0}'",
        )
        assert revisions(session) == [1, 2]


class ImageTests:
    """Before is before the transaction, after is after it."""

    def test_changed_twice_has_the_first_before_and_the_last_after(self, session: Session) -> None:
        """One row of the log for each entity."""
        add_service(session, "hello")
        session.run(
            "BEGIN",
            "UPDATE fengling.service SET name = 'one'",
            "UPDATE fengling.service SET name = 'two'",
            "COMMIT",
        )
        assert session.rows(
            "SELECT before ->> 'name', after ->> 'name' FROM fengling.revision_change"
            " WHERE revision = 2"
        ) == [("", "two")]

    def test_deleted_and_made_again_is_an_update(self, session: Session) -> None:
        """How some tools write; the log tells what has become of it."""
        add_service(session, "hello")
        session.run("BEGIN", "DELETE FROM fengling.service")
        session.run("INSERT INTO fengling.service (id, name) VALUES ('hello', 'new')", "COMMIT")
        assert changes(session) == [("service", "hello", "update")]

    @pytest.mark.parametrize(
        ("statement", "expected", "left"),
        [
            (
                (
                    "WITH d AS (DELETE FROM fengling.route RETURNING id)"
                    " INSERT INTO fengling.route (id, path, service_id)"
                    " SELECT id, '/new', 'hello' FROM d LIMIT 1"
                ),
                [("route", "r1", "update"), ("route", "r2", "delete"), ("route", "r3", "delete")],
                1,
            ),
            (
                (
                    "WITH d AS (DELETE FROM fengling.route RETURNING id), i AS ("
                    " INSERT INTO fengling.route (id, path, service_id, enabled)"
                    " SELECT id, '/new', 'hello', id <> 'r2' FROM d LIMIT 2) SELECT 1"
                ),
                [("route", "r1", "update"), ("route", "r2", "update"), ("route", "r3", "delete")],
                1,
            ),
            (
                (
                    "WITH d AS (DELETE FROM fengling.route RETURNING id)"
                    " INSERT INTO fengling.route (id, path, service_id)"
                    " SELECT id, '/new', 'hello' FROM d"
                ),
                [("route", "r1", "update"), ("route", "r2", "update"), ("route", "r3", "update")],
                3,
            ),
        ],
    )
    def test_deleted_and_made_again_by_one_statement_is_an_update(
        self, session: Session, statement: str, expected: object, left: int
    ) -> None:
        """In whatever order it comes to its two halves; and the routes are still counted."""
        add_service(session, "hello")
        add_routes(session, 3)
        session.run("BEGIN", "SET LOCAL fengling.force = on", statement, "COMMIT")
        assert changes(session) == expected
        assert session.value(
            "SELECT bool_and(before IS NOT NULL) FROM fengling.revision_change WHERE revision = 3"
        )
        assert session.value("SELECT routes FROM fengling.head") == left

    def test_made_and_made_again_by_one_statement_is_a_creation(self, session: Session) -> None:
        """What was there before is from the same transaction."""
        add_service(session, "hello")
        session.run("BEGIN")
        add_routes(session, 3)
        session.run(
            "WITH d AS (DELETE FROM fengling.route RETURNING id)"
            " INSERT INTO fengling.route (id, path, service_id)"
            " SELECT id, '/new', 'hello' FROM d LIMIT 1",
            "COMMIT",
        )
        assert changes(session) == [("route", "r1", "create")]
        assert (
            session.value("SELECT before FROM fengling.revision_change WHERE revision = 2") is None
        )
        assert session.value("SELECT routes FROM fengling.head") == 1

    def test_made_and_changed_is_a_creation(self, session: Session) -> None:
        """Nothing was before it."""
        session.run("BEGIN")
        add_service(session, "hello")
        session.run("UPDATE fengling.service SET name = 'x'", "COMMIT")
        assert session.rows(
            "SELECT action, before, after ->> 'name' FROM fengling.revision_change"
        ) == [("create", None, "x")]

    def test_images_do_not_depend_on_the_session(self, session: Session) -> None:
        """Intervals and times are written in one way, whoever writes."""
        session.run("SET intervalstyle = 'postgres_verbose'", "SET timezone = 'Asia/Shanghai'")
        session.run("INSERT INTO fengling.service (id, idle_timeout) VALUES ('a', '90 s')")
        session.run("UPDATE fengling.service SET idle_timeout = '2 h'")
        [before, after] = session.rows(
            "SELECT before, after FROM fengling.revision_change WHERE revision = 2"
        )[0]
        assert (before["idle_timeout"], after["idle_timeout"]) == ("PT1M30S", "PT2H")
        assert after["updated_at"].endswith("+00:00")

    def test_truncate_records_every_row(self, session: Session) -> None:
        """Even what fires no row trigger is in the log."""
        add_service(session, "hello")
        add_routes(session, 3)
        session.run("TRUNCATE fengling.route")
        assert changes(session) == [("route", f"r{i}", "delete") for i in (1, 2, 3)]

    def test_truncate_then_insert_is_updates_and_deletions(self, session: Session) -> None:
        """Images from before the TRUNCATE stay the first ones."""
        add_service(session, "hello")
        add_routes(session, 2)
        session.run("BEGIN", "TRUNCATE fengling.route")
        session.run(
            "INSERT INTO fengling.route (id, path, service_id) VALUES ('r1', '/new', 'hello')",
            "COMMIT",
        )
        assert changes(session) == [("route", "r1", "update"), ("route", "r2", "delete")]

    def test_truncate_in_repeatable_read_is_refused(self, session: Session) -> None:
        """It would remove rows that its snapshot does not show."""
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(errors.FeatureNotSupported, match="TRUNCATE of fengling"):
            session.run("TRUNCATE fengling.route")

    def test_cascade_to_the_health_of_an_instance_is_recorded(self, session: Session) -> None:
        """Foreign keys delete like anybody else."""
        add_service(session, "hello")
        session.run(
            "INSERT INTO fengling.instance (id, service_id, address)"
            " VALUES ('i', 'hello', 'http://127.0.0.1:1')",
            "INSERT INTO fengling.instance_health (instance_id, health) VALUES ('i', 'healthy')",
            "DELETE FROM fengling.instance",
        )
        assert changes(session) == [
            ("instance", "i", "delete"),
            ("instance_health", "i", "delete"),
        ]

    def test_version_is_never_given_twice(self, session: Session) -> None:
        """An ETag of an entity that was deleted and made again must not match."""
        add_service(session, "hello")
        first = session.value("SELECT version FROM fengling.service")
        session.run("DELETE FROM fengling.service")
        session.run("INSERT INTO fengling.service (id, version) VALUES ('hello', 1)")
        assert session.value("SELECT version FROM fengling.service") > first


class ConstraintsImmediateTests:
    """SET CONSTRAINTS ALL IMMEDIATE makes the revision early; nothing after it may be lost."""

    def test_later_changes_join_the_same_revision(self, session: Session) -> None:
        """One transaction, one revision, also when the trigger fires several times."""
        session.run("BEGIN")
        add_service(session, "a")
        session.run("SET CONSTRAINTS ALL IMMEDIATE")
        add_service(session, "b")
        session.run("SET CONSTRAINTS ALL DEFERRED")
        add_service(session, "c")
        session.run("COMMIT")
        assert revisions(session) == [1]
        assert changes(session) == [("service", one, "create") for one in "abc"]
        assert session.value("SELECT changes FROM fengling.revision WHERE id = 1") == 3

    def test_change_of_the_same_entity_keeps_the_first_before(self, session: Session) -> None:
        """Two firings are one change."""
        add_service(session, "a")
        session.run(
            "BEGIN",
            "UPDATE fengling.service SET name = 'one'",
            "SET CONSTRAINTS ALL IMMEDIATE",
            "UPDATE fengling.service SET name = 'two'",
            "COMMIT",
        )
        assert session.rows(
            "SELECT before ->> 'name', after ->> 'name', action FROM fengling.revision_change"
            " WHERE revision = 2"
        ) == [("", "two", "update")]

    def test_made_early_and_deleted_later_leaves_nothing(self, session: Session) -> None:
        """The log does not speak of what nobody ever saw."""
        session.run("BEGIN")
        add_service(session, "a", "b")
        session.run(
            "SET CONSTRAINTS ALL IMMEDIATE", "DELETE FROM fengling.service WHERE id = 'a'", "COMMIT"
        )
        assert changes(session) == [("service", "b", "create")]

    def test_changed_early_and_back_later_is_no_change(self, session: Session) -> None:
        """As in a transaction that makes its revision at the end."""
        add_service(session, "a", "b")
        session.run("BEGIN", "UPDATE fengling.service SET name = 'x'")
        session.run("SET CONSTRAINTS ALL IMMEDIATE")
        session.run("UPDATE fengling.service SET name = '' WHERE id = 'a'", "COMMIT")
        assert changes(session) == [("service", "b", "update")]
        assert session.value("SELECT changes FROM fengling.revision WHERE id = 3") == 1

    def test_rolled_back_to_before_it_takes_the_number_back(self, session: Session) -> None:
        """The head is a row as well."""
        session.run("BEGIN")
        add_service(session, "a")
        session.run("SAVEPOINT here")
        add_service(session, "b")
        session.run("SET CONSTRAINTS ALL IMMEDIATE", "ROLLBACK TO here")
        add_service(session, "c")
        session.run("COMMIT")
        assert revisions(session) == [1]
        assert changes(session) == [("service", "a", "create"), ("service", "c", "create")]

    def test_truncate_is_recorded(self, session: Session) -> None:
        """The trigger before it must not make the revision while the rows are still there."""
        add_service(session, "hello")
        add_routes(session, 1)
        session.run("BEGIN", "SET CONSTRAINTS ALL IMMEDIATE", "TRUNCATE fengling.route", "COMMIT")
        assert changes(session) == [("route", "r1", "delete")]

    def test_enabled_routes_are_counted_once(self, session: Session) -> None:
        """Counting goes on from where the first firing left it."""
        add_service(session, "hello")
        session.run("BEGIN")
        add_routes(session, 4)
        session.run(
            "SET CONSTRAINTS ALL IMMEDIATE",
            "UPDATE fengling.route SET enabled = false WHERE id = 'r1'",
            "DELETE FROM fengling.route WHERE id = 'r2'",
            "COMMIT",
        )
        assert session.value("SELECT routes FROM fengling.head") == 2


class KindTests:
    """Transitions of health stand apart from configuration."""

    def test_health_alone_is_a_quiet_revision_of_kind_health(self, session: Session) -> None:
        """Delivered like any other, but nobody wants to read of it in psql."""
        self._instance(session)
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'unhealthy', 'refused')")
        assert session.value("SELECT kind FROM fengling.revision WHERE id = 2") == "health"
        assert len(session.notices) == 1

    def test_health_with_configuration_is_kind_config(self, session: Session) -> None:
        """It must not be pruned early."""
        self._instance(session)
        session.run("BEGIN")
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'unhealthy', 'refused')")
        session.run("UPDATE fengling.service SET name = 'x'", "COMMIT")
        assert session.value("SELECT kind FROM fengling.revision WHERE id = 2") == "config"

    def test_same_health_again_is_no_change(self, session: Session) -> None:
        """A checker that writes every result makes no revision of it; `since` stays."""
        self._instance(session)
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'unhealthy', 'refused')")
        session.run("UPDATE fengling.instance_health SET health = 'unhealthy', since = now()")
        assert revisions(session) == [1, 2]

    def test_other_health_begins_now(self, session: Session) -> None:
        """Whoever forgets to set `since` gets it right."""
        self._instance(session)
        session.run(
            "INSERT INTO fengling.instance_health VALUES ('i', 'healthy', '', '2020-01-01')"
        )
        session.run("UPDATE fengling.instance_health SET health = 'unhealthy'")
        assert session.value("SELECT since > '2021-01-01' FROM fengling.instance_health")

    def _instance(self, session: Session) -> None:
        session.run("BEGIN")
        add_service(session, "hello")
        session.run(
            "INSERT INTO fengling.instance (id, service_id, address)"
            " VALUES ('i', 'hello', 'http://127.0.0.1:1')",
            "COMMIT",
        )


class AuthorTests:
    """Who and why."""

    def test_described_transaction_has_author_and_comment(self, session: Session) -> None:
        """They belong to the transaction, not to the session."""
        session.run("BEGIN", "SELECT fengling.describe('canary 10 %', author => 'ops')")
        add_service(session, "a")
        session.run("COMMIT")
        add_service(session, "b")
        assert session.rows(
            "SELECT author, author_verified, comment, db_user FROM fengling.revision"
            " WHERE id > 0 ORDER BY id"
        ) == [
            ("ops", False, "canary 10 %", "postgres"),
            ("postgres", True, None, "postgres"),
        ]

    def test_set_local_does_the_same(self, session: Session) -> None:
        """For who prefers settings to functions."""
        session.run("BEGIN", "SET LOCAL fengling.author = 'me'", "SET LOCAL fengling.comment = 'x'")
        add_service(session, "a")
        session.run("COMMIT")
        assert session.rows("SELECT author, comment FROM fengling.revision WHERE id = 1") == [
            ("me", "x")
        ]

    def test_application_and_address_are_kept(self, session: Session) -> None:
        """From where, when nobody has said who."""
        session.run("SET application_name = 'billing importer'")
        add_service(session, "a")
        assert session.rows(
            "SELECT application, host(client_addr) FROM fengling.revision WHERE id = 1"
        ) == [("billing importer", "127.0.0.1")]


class NotificationTests:
    """One for each transaction, in the form that other consoles know."""

    def test_one_transaction_sends_one(self, sessions: Callable[[], Session]) -> None:
        """A committing NOTIFY takes a lock on the whole cluster: never more than one."""
        session, listener = sessions(), sessions()
        listener.listen()
        session.run("BEGIN")
        add_service(session, "hello")
        add_routes(session, 50)
        session.run("COMMIT")
        [payload] = listener.notifications()
        details = json.loads(payload)["details"]
        assert details.pop("token")
        assert details == {"kind": "config", "held": False, "changes": 51}

    def test_payload_has_the_known_form_and_our_position(
        self, sessions: Callable[[], Session]
    ) -> None:
        """eventType, action, timestamp, details; and epoch and revision of ours."""
        session, listener = sessions(), sessions()
        listener.listen()
        add_service(session, "hello")
        said = json.loads(listener.notifications()[0])
        assert (said["eventType"], said["action"], said["revision"]) == ("service", "create", 1)
        assert said["timestamp"].endswith("Z")
        assert said["epoch"] == session.value("SELECT fengling.epoch()")
        assert said["details"]["id"] == "hello"
        token = session.value("SELECT token FROM fengling.revision WHERE id = 1")
        assert said["details"]["token"] == str(token)

    @pytest.mark.parametrize(
        ("statement", "event_type", "action"),
        [
            ("INSERT INTO fengling.tenant (id) VALUES ('t')", "gateway", "create"),
            ("INSERT INTO fengling.setting VALUES ('hold', '{}')", "gateway", "create"),
            ("UPDATE fengling.service SET name = 'x'", "service", "update"),
            ("DELETE FROM fengling.instance WHERE id = 'i'", "instance", "delete"),
            ("INSERT INTO fengling.instance_health VALUES ('i', 'healthy')", "instance", "create"),
            ("UPDATE fengling.route SET priority = 1", "route", "update"),
        ],
    )
    def test_event_type_and_action_name_what_changed(
        self, sessions: Callable[[], Session], statement: str, event_type: str, action: str
    ) -> None:
        """Everything that other consoles have no word for is `gateway`."""
        session, listener = sessions(), sessions()
        add_service(session, "hello")
        add_routes(session, 1)
        session.run("INSERT INTO fengling.instance VALUES ('i', 'hello', NULL, 'http://h:1')")
        listener.listen()
        session.run(statement)
        said = json.loads(listener.notifications()[0])
        assert (said["eventType"], said["action"]) == (event_type, action)

    def test_reload_notifies_and_changes_nothing(self, sessions: Callable[[], Session]) -> None:
        """What an ops script calls from psql."""
        session, listener = sessions(), sessions()
        listener.listen()
        said = session.value("SELECT fengling.reload('nach der Wartung ✓')")
        assert said == "every gateway is asked to look; revision 0 is the one to serve"
        [payload] = listener.notifications()
        assert payload.isascii()
        assert json.loads(payload)["action"] == "reload"
        assert revisions(session) == []

    def test_longest_names_fit_in_a_payload(self, sessions: Callable[[], Session]) -> None:
        """A payload that is too long would abort the writer's transaction."""
        session, listener = sessions(), sessions()
        listener.listen()
        session.run(
            f"SET fengling.comment = '{'x' * 5000}'", f"SET fengling.author = '{'é' * 900}'"
        )
        session.run(f"INSERT INTO fengling.service (id) VALUES ('{'s' * 100}')")
        session.value("SELECT fengling.reload(%s)", "✓" * 100_000)
        assert max(len(one) for one in listener.notifications()) < 1000


class LargeTransactionTests:
    """Ten thousand rows at once."""

    def test_ten_thousand_rows_are_one_revision(self, session: Session) -> None:
        """Also after single rows, which must not have fixed a plan that fits only them."""
        add_service(session, "hello")
        add_routes(session, 1)
        session.run("UPDATE fengling.route SET priority = 1", "DELETE FROM fengling.route")
        add_routes(session, 10_000)
        session.run("UPDATE fengling.route SET priority = 7")
        assert session.value("SELECT changes FROM fengling.revision ORDER BY id DESC LIMIT 1") == (
            10_000
        )
        assert session.value("SELECT routes FROM fengling.head") == 10_000


class IsolationTests:
    """Writers in stricter levels may have to try again; what they lose is nothing else."""

    def test_repeatable_read_writer_gets_a_serialization_failure(
        self, sessions: Callable[[], Session]
    ) -> None:
        """Somebody else's revision came between; the documented answer is to retry."""
        ours, theirs = sessions(), sessions()
        ours.run("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM fengling.head")
        add_service(theirs, "theirs")
        with pytest.raises(errors.SerializationFailure):
            ours.run("INSERT INTO fengling.service (id) VALUES ('ours')", "COMMIT")
        assert revisions(theirs) == [1]

    def test_repeatable_read_writer_who_sees_a_route_twice_gets_one(
        self, sessions: Callable[[], Session]
    ) -> None:
        """What somebody has deleted since his snapshot, and what he has made in its place."""
        ours, theirs = sessions(), sessions()
        add_service(theirs, "a")
        add_routes(theirs, 2, service="a")
        ours.run("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM fengling.head")
        theirs.run("DELETE FROM fengling.route WHERE id = 'r1'")
        ours.run("INSERT INTO fengling.route (id, service_id) VALUES ('r1', 'a')")
        with pytest.raises(errors.SerializationFailure):
            ours.run("COMMIT")

    def test_repeatable_read_writer_alone_succeeds(self, session: Session) -> None:
        """Without competition there is nothing to retry."""
        session.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
        add_service(session, "a")
        session.run("COMMIT")
        assert revisions(session) == [1]

    def test_waiting_for_a_foreign_key_is_done_before_the_head_is_locked(
        self, sessions: Callable[[], Session]
    ) -> None:
        """A writer that waits for another's row must not keep that other from committing."""
        ours, theirs = sessions(), sessions()
        add_service(ours, "a", "b")
        theirs.run("BEGIN", "SELECT FROM fengling.service WHERE id = 'a' FOR UPDATE")
        theirs.run("UPDATE fengling.service SET name = 'x' WHERE id = 'b'")
        ours.run("BEGIN", "INSERT INTO fengling.tenant (id) VALUES ('t')")
        ours.run("INSERT INTO fengling.route (id, service_id) VALUES ('r', 'a')")
        with ThreadPoolExecutor(1) as executor:
            committing = executor.submit(ours.run, "COMMIT")
            waiting = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
            pid = ours.connection.info.backend_pid
            wait_until(lambda: theirs.value(waiting, pid) == "Lock")
            theirs.run("COMMIT")
            committing.result(timeout=10)
        assert revisions(theirs) == [1, 2, 3, 4]
        assert changes(theirs, 3) == [("service", "b", "update")]

    def test_two_phase_commit_is_refused_by_postgres(self, session: Session) -> None:
        """NOTIFY and PREPARE TRANSACTION exclude one another: nothing is lost silently."""
        session.run("BEGIN")
        add_service(session, "a")
        with pytest.raises(psycopg2.Error):
            session.run("PREPARE TRANSACTION 'x'")
