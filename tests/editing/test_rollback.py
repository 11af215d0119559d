"""Going back to what there was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from psycopg2 import errors

from fengling_gateway.editing.changes import Planned, shown_fields
from fengling_gateway.editing.planning import InvalidError
from fengling_gateway.editing.revisions import (
    ForgottenError,
    NoRevisionError,
    Sought,
    list_revisions,
)
from fengling_gateway.editing.rollback import (
    ChangedSinceError,
    NothingError,
    Rollback,
    make_rollback,
)
from fengling_gateway.editing.transaction import ConflictError, Signature, write
from fengling_gateway.model.entity import Key
from tests.schema.session import Session, add_routes, add_service
from tests.schema.test_prune import age


@pytest.fixture
def session(session: Session) -> Session:
    """Return a session with two services (revisions 1, 2) and three routes (3)."""
    add_service(session, "hello", "v2")
    add_routes(session, 3)
    return session


def named(changes: Sequence[Planned]) -> list[str]:
    return [f"{one.action} {one.key}" for one in changes]


def go_back(connection: Any, *, to: int | None = None, of: Sequence[int] = ()) -> Rollback:
    planned, plan = make_rollback(connection, to=to, of=of)
    signature = Signature("ops", planned.comment(None), force=True)
    write(connection, planned.changes, signature, plan.refers_to)
    return planned


class TestToARevision:
    """Everything as it was then."""

    def test_made_changed_and_deleted_come_back(self, session: Session, connection: Any) -> None:
        """As one revision, whose comment says what it is, and which can be taken back."""
        session.run("BEGIN", "SELECT fengling.describe('x', author => 'jane')")
        session.run("UPDATE fengling.service SET connect_timeout = '1 s' WHERE id = 'v2'", "COMMIT")
        session.run("DELETE FROM fengling.route WHERE id = 'r1'")
        session.run(
            "INSERT INTO fengling.tenant (id) VALUES ('t')",
            "UPDATE fengling.route SET priority = 5, labels = '{\"a\": 1}', managed_by = 'x'"
            " WHERE id = 'r2'",
        )
        planned = go_back(connection, to=3)
        assert named(planned.changes) == [
            "delete tenant t",
            "update service v2",
            "create route r1",
            "update route r2",
        ]
        assert [(one.author, one.revisions) for one in planned.dropped] == [
            ("postgres", 3),
            ("jane", 1),
        ]
        [newest, *_] = list_revisions(connection, Sought()).revisions
        assert (newest.id, newest.author, newest.comment) == (8, "ops", "rollback to revision 3")
        assert session.value("SELECT count(*) FROM fengling.tenant") == 0
        assert session.rows(
            "SELECT priority, labels, managed_by FROM fengling.route WHERE id = 'r2'"
        ) == [(0, {}, None)]
        connection.rollback()
        go_back(connection, to=7)
        assert session.rows("SELECT priority, managed_by FROM fengling.route WHERE id = 'r2'") == [
            (5, "x")
        ]

    def test_fields_are_as_in_any_plan(self, session: Session, connection: Any) -> None:
        """Before is now and after is then."""
        session.run("UPDATE fengling.service SET connect_timeout = '1 s' WHERE id = 'v2'")
        planned, _ = make_rollback(connection, to=3)
        [change] = planned.changes
        assert [(one.name, one.before, one.after) for one in change.fields] == [
            ("connect_timeout", 1.0, 3.0)
        ]

    def test_what_is_as_then_already_is_left(self, session: Session, connection: Any) -> None:
        """There and back again needs no change; the newest neither."""
        session.run(
            "UPDATE fengling.service SET name = 'x'", "UPDATE fengling.service SET name = ''"
        )
        for revision in (3, 5):
            assert make_rollback(connection, to=revision)[0].changes == []

    def test_what_is_not_known_is_refused(self, session: Session, connection: Any) -> None:
        """Half of what there was is no state that ever was."""
        session.run(
            "UPDATE fengling.service SET name = 'x'", "UPDATE fengling.service SET name = 'y'"
        )
        age(session, 4)
        session.run("SELECT fengling.prune()")
        with pytest.raises(ForgottenError):
            make_rollback(connection, to=3)
        connection.rollback()
        with pytest.raises(NoRevisionError):
            make_rollback(connection, to=6)
        connection.rollback()
        assert named(make_rollback(connection, to=4)[0].changes) == [
            "update service hello",
            "update service v2",
        ]

    def test_somebody_else_comes_in_between(self, session: Session, connection: Any) -> None:
        """Then nothing is written."""
        session.run("UPDATE fengling.service SET name = 'x'")
        planned, plan = make_rollback(connection, to=3)
        session.run("UPDATE fengling.service SET name = 'y' WHERE id = 'v2'")
        with pytest.raises(ConflictError, match="service v2"):
            write(connection, planned.changes, Signature(), plan.refers_to)
        assert session.value("SELECT name FROM fengling.service WHERE id = 'hello'") == "x"

    def test_health_stays(self, session: Session, connection: Any) -> None:
        """What somebody observes is not undone."""
        session.run("INSERT INTO fengling.instance VALUES ('i', 'hello', NULL, 'http://h:1')")
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'unhealthy')")
        session.run("UPDATE fengling.instance SET weight = 2")
        session.run("UPDATE fengling.instance_health SET health = 'healthy'")
        assert named(go_back(connection, to=5).changes) == ["update instance i"]
        assert session.value("SELECT health FROM fengling.instance_health") == "healthy"

    def test_addresses_that_go_round_come_back(self, session: Session, connection: Any) -> None:
        """Three of them: none could go first."""
        session.run(
            "INSERT INTO fengling.instance (id, service_id, address) VALUES"
            " ('a', 'hello', 'http://h:1'), ('b', 'hello', 'http://h:2'), ('c', 'v2', 'http://h:1')",
            "BEGIN",
            "UPDATE fengling.instance SET address = 'http://h:9' WHERE id = 'a'",
            "UPDATE fengling.instance SET service_id = 'hello' WHERE id = 'c'",
            "UPDATE fengling.instance SET address = 'http://h:1', service_id = 'v2' WHERE id = 'b'",
            "UPDATE fengling.instance SET address = 'http://h:2' WHERE id = 'a'",
            "COMMIT",
        )
        go_back(connection, of=[5])
        assert session.rows(
            "SELECT id, service_id, address FROM fengling.instance ORDER BY id"
        ) == [
            ("a", "hello", "http://h:1"),
            ("b", "hello", "http://h:2"),
            ("c", "v2", "http://h:1"),
        ]
        assert (
            session.value("SELECT count(*) FROM fengling.revision_change WHERE revision = 6") == 3
        )
        told = session.value("SELECT string_agg(after::text, '') FROM fengling.revision_change")
        assert "moves.invalid" not in told


class TestOfRevisions:
    """The opposite of one, or of several."""

    def test_only_that_one_is_undone(self, session: Session, connection: Any) -> None:
        """What came before and after it stays."""
        session.run(
            "UPDATE fengling.route SET priority = 1 WHERE id = 'r1'",
            "UPDATE fengling.route SET priority = 2 WHERE id = 'r2'",
        )
        planned = go_back(connection, of=[4])
        assert (planned.what, named(planned.changes)) == ("undo of revision 4", ["update route r1"])
        assert session.rows("SELECT priority FROM fengling.route ORDER BY id") == [(0,), (2,), (0,)]

    def test_what_changed_again_is_named(self, session: Session, connection: Any) -> None:
        """With the revision; undone together, they are no conflict."""
        for priority in (1, 2, 3):
            session.run(f"UPDATE fengling.route SET priority = {priority} WHERE id = 'r1'")
        with pytest.raises(ChangedSinceError, match=r"since: route r1 \(in revision 5\)$"):
            make_rollback(connection, of=[4])
        connection.rollback()
        with pytest.raises(ChangedSinceError, match="in revision 5"):
            make_rollback(connection, of=[4, 6])
        connection.rollback()
        planned = go_back(connection, of=[6, 4, 5])
        assert planned.what == "undo of revisions 4, 5, 6"
        assert session.value("SELECT priority FROM fengling.route WHERE id = 'r1'") == 0

    def test_what_would_be_wrong_is_refused(self, session: Session, connection: Any) -> None:
        """What needs it has come since, and is named."""
        add_service(session, "new")
        session.run(
            "UPDATE fengling.route SET service_id = NULL, split = '{\"new\": 1}' WHERE id = 'r1'"
        )
        with pytest.raises(InvalidError) as caught:
            make_rollback(connection, of=[4])
        [(key, rejection)] = caught.value.judged.rejected.items()
        assert key == Key("route", "r1")
        assert "service new" in rejection.problems[0].message

    def test_what_was_wrong_before_is_no_reason(self, session: Session, connection: Any) -> None:
        """Somebody else's mistake does not keep anybody from going back."""
        session.run("INSERT INTO fengling.service (id, affinity) VALUES ('wrong', '{}')")
        session.run("UPDATE fengling.route SET priority = 1 WHERE id = 'r1'")
        assert named(go_back(connection, of=[5]).changes) == ["update route r1"]

    def test_what_was_wrong_then_is_refused(self, session: Session, connection: Any) -> None:
        """Today's rules count."""
        session.run("UPDATE fengling.service SET affinity = '{}' WHERE id = 'v2'")
        session.run("UPDATE fengling.service SET affinity = NULL WHERE id = 'v2'")
        with pytest.raises(InvalidError, match="service v2"):
            make_rollback(connection, of=[5])

    def test_of_nothing_there_is_no_undo(self, session: Session, connection: Any) -> None:
        """Revisions of health, those that never were, and what is forgotten."""
        session.run("INSERT INTO fengling.instance VALUES ('i', 'hello', NULL, 'http://h:1')")
        session.run("INSERT INTO fengling.instance_health VALUES ('i', 'healthy')")
        for numbers, error in (
            ([5], NothingError),
            ([0], NothingError),
            ([6], NoRevisionError),
        ):
            with pytest.raises(error):
                make_rollback(connection, of=numbers)
            connection.rollback()
        session.run(
            "UPDATE fengling.service SET name = 'x'", "DELETE FROM fengling.route WHERE id = 'r1'"
        )
        age(session, 6)
        session.run("UPDATE fengling.service SET name = 'y' WHERE id = 'v2'")
        age(session, 7)
        session.run("SELECT fengling.prune()")
        for number in (2, 3):
            with pytest.raises(ForgottenError):
                make_rollback(connection, of=[number])
            connection.rollback()


class TestWhatDoesNotComeBack:
    """It is named, and stays as it is."""

    DIGEST = "ab" * 32

    @pytest.fixture
    def session(self, session: Session) -> Session:
        """Return a session with a client and a key (4), a secret (5), and a token (6)."""
        session.run(
            "BEGIN",
            "INSERT INTO fengling.client (id) VALUES ('c')",
            f"INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('k', 'c', '{self.DIGEST}')",
            "COMMIT",
            "INSERT INTO fengling.secret (id, value) VALUES ('s', 'env:ONE')",
            "INSERT INTO fengling.management_token (id, scopes) VALUES ('t', '{gateway:read}')",
        )
        return session

    def left(self, planned: Rollback) -> list[tuple[str, str]]:
        return [(one.code, str(one.key)) for one in planned.left]

    def test_values_of_secrets(self, session: Session, connection: Any) -> None:
        """The rest of it comes back, and so does everything else."""
        session.run(
            "BEGIN",
            "UPDATE fengling.secret SET value = 'env:TWO', name = 'x'",
            "UPDATE fengling.service SET name = 'x'",
            "COMMIT",
        )
        planned = go_back(connection, of=[7])
        assert self.left(planned) == [("secret_value", "secret s")]
        assert session.rows("SELECT value, name FROM fengling.secret") == [("env:TWO", "")]
        assert session.value("SELECT max(name) FROM fengling.service") == ""

    def test_deleted_secrets(self, session: Session, connection: Any) -> None:
        """What needs them can't come back either, and says so."""
        session.run("DELETE FROM fengling.secret")
        planned = go_back(connection, to=6)
        assert (self.left(planned), planned.changes) == ([("secret_value", "secret s")], [])
        session.run(
            "INSERT INTO fengling.secret (id, value) VALUES ('s', 'env:ONE')",
            "INSERT INTO fengling.issuer (id, issuer, audiences, algorithms, key_secret)"
            " VALUES ('i', 'https://i.example', '{a}', '{HS256}', 's')",
            "BEGIN",
            "DELETE FROM fengling.issuer",
            "DELETE FROM fengling.secret",
            "COMMIT",
        )
        connection.rollback()
        with pytest.raises(InvalidError, match="issuer i"):
            make_rollback(connection, to=9)

    def test_secrets_that_changed_otherwise_come_back(
        self, session: Session, connection: Any
    ) -> None:
        """The value is that of then; and what was made since goes."""
        session.run("UPDATE fengling.secret SET name = 'x'")
        planned = go_back(connection, to=6)
        assert (self.left(planned), named(planned.changes)) == ([], ["update secret s"])
        shown = [one for change in planned.changes for one in shown_fields(change)]
        assert "env:ONE" not in json.dumps([one.after for one in shown])
        connection.rollback()
        assert "delete secret s" in named(go_back(connection, to=4).changes)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE fengling.api_key SET enabled = false, name = 'x'",
            "DELETE FROM fengling.api_key",
            "UPDATE fengling.api_key SET expires_at = now(), name = 'x'",
            f"UPDATE fengling.api_key SET digest = '{'0' * 64}', name = 'x'",
            "UPDATE fengling.client SET enabled = false, name = 'x'",
        ],
    )
    def test_who_was_shut_out_stays_so(
        self, session: Session, connection: Any, statement: str
    ) -> None:
        """In whatever way; the rest of it comes back."""
        session.run(statement)
        kind = "client" if "client" in statement else "api_key"
        access = f"SELECT enabled, expires_at, digest FROM fengling.{kind}".replace(
            ", digest" if kind == "client" else "?", ""
        ).replace(", expires_at" if kind == "client" else "?", "")
        before = session.rows(access) or [(False, None, self.DIGEST)]
        planned = go_back(connection, to=6)
        assert [one.code for one in planned.left] == ["not_let_in"]
        assert session.rows(access) == before
        assert session.value(f"SELECT name FROM fengling.{kind}") == ""

    def test_who_was_let_in_is_shut_out(self, session: Session, connection: Any) -> None:
        """That way it is no danger."""
        session.run("UPDATE fengling.api_key SET enabled = false")
        session.run("UPDATE fengling.api_key SET enabled = true")
        session.run(
            f"INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('l', 'c', '{'1' * 64}')"
        )
        planned = go_back(connection, to=7)
        assert named(planned.changes) == ["update api_key k", "delete api_key l"]
        assert self.left(planned) == []
        assert session.rows("SELECT id, enabled FROM fengling.api_key") == [("k", False)]
        assert self.DIGEST not in repr([shown_fields(one) for one in planned.changes])

    def test_revoked_tokens_stay_revoked(self, session: Session, connection: Any) -> None:
        """Also where there was no row of them."""
        session.run("UPDATE fengling.management_token SET revoked_at = now(), name = 'x'")
        planned = go_back(connection, to=6)
        assert (self.left(planned), named(planned.changes)) == (
            [("revoked", "management_token t")],
            ["update management_token t"],
        )
        assert session.rows("SELECT revoked_at IS NULL, name FROM fengling.management_token") == [
            (False, "")
        ]
        connection.rollback()
        assert self.left(go_back(connection, to=5)) == [("revoked", "management_token t")]

    def test_tokens_stay_registered(self, session: Session, connection: Any) -> None:
        """Without its row a token would be good all the same, and for more."""
        assert self.left(go_back(connection, to=5)) == [("registered", "management_token t")]
        assert session.value("SELECT count(*) FROM fengling.management_token") == 1

    def test_behind_a_held_revision_secrets_stay(self, session: Session, connection: Any) -> None:
        """The database refuses, in words of its own."""
        session.run("UPDATE fengling.secret SET name = 'x'", "DELETE FROM fengling.route")
        planned, plan = make_rollback(connection, of=[7])
        assert named(planned.changes) == ["update secret s"]
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="held"):
            write(connection, planned.changes, Signature(), plan.refers_to)
