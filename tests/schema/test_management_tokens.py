"""What the database knows of management tokens: a revocation stays."""

from __future__ import annotations

import pytest
from psycopg2 import errors

from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.schema.session import Cast, Session, changes, revisions


def revoke(session: Session, name: str, ends: str = "now() + interval '1 day'") -> None:
    session.run(
        "INSERT INTO fengling.management_token (id, expires_at, revoked_at)"
        f" VALUES ('{name}', {ends}, now())"
    )


class RevisionTests:
    def test_revocation_is_a_revision(self, session: Session) -> None:
        """So it is delivered as everything is, and the log says whose it was."""
        session.run("INSERT INTO fengling.management_token (id, name) VALUES ('t1', 'ci')")
        session.run("UPDATE fengling.management_token SET revoked_at = now() WHERE id = 't1'")
        assert changes(session) == [("management_token", "t1", "update")]
        assert revisions(session) == [1, 2]

    def test_row_is_accepted_by_validation(self, session: Session) -> None:
        """What the table takes, the gateway takes."""
        session.run(
            "INSERT INTO fengling.management_token"
            " (id, name, subject, scopes, tenants, created_by, expires_at, revoked_at) VALUES"
            " ('t1', 'ci', 'ops', '{gateway:write}', '{acme,zeta}', 'ann', now(), now())"
        )
        session.run("INSERT INTO fengling.management_token (id) VALUES ('t2')")
        for name, row in session.rows("SELECT id, to_jsonb(t) FROM fengling.management_token AS t"):
            assert isinstance(validate(Key("management_token", name), row), Accepted)


class RevokedTests:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE fengling.management_token SET revoked_at = NULL",
            "UPDATE fengling.management_token SET revoked_at = '2000-01-01'",
            "DELETE FROM fengling.management_token",
            "TRUNCATE fengling.management_token",
        ],
    )
    def test_revoked_token_stays_so(self, session: Session, statement: str) -> None:
        """Its signature holds until it ends: without its row it would be good again."""
        revoke(session, "t1")
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match='"t1" is revoked'):
            session.run(statement)
        session.run("UPDATE fengling.management_token SET name = 'stolen'")

    def test_undo_does_not_make_it_good(self, session: Session) -> None:
        """Nor the undo of its creation together with its revocation."""
        session.run("INSERT INTO fengling.management_token (id) VALUES ('t1')")
        session.run("UPDATE fengling.management_token SET revoked_at = now()")
        revoke(session, "t2")
        for revision in (2, 3):
            with pytest.raises(errors.ObjectNotInPrerequisiteState, match="is revoked"):
                session.run(f"SELECT fengling.undo({revision})")

    @pytest.mark.parametrize("verb", ["DELETE FROM", "TRUNCATE"])
    def test_row_can_go_when_every_token_has_ended(self, session: Session, verb: str) -> None:
        """A year later; nobody keeps it for ever. What is not revoked can go at any time."""
        session.run(
            "INSERT INTO fengling.management_token (id, created_at, revoked_at)"
            " SELECT 't1', now() - interval '367 days', now() - interval '367 days'"
        )
        session.run("INSERT INTO fengling.management_token (id) VALUES ('t2')")
        session.run(f"{verb} fengling.management_token")
        assert session.rows("SELECT FROM fengling.management_token") == []

    @pytest.mark.parametrize("ends", ["now()", "now() - interval '367 days'"])
    def test_row_stays_whatever_end_it_names(self, session: Session, ends: str) -> None:
        """The token itself may name a later one."""
        revoke(session, "t1", ends)
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match='"t1" is revoked'):
            session.run("DELETE FROM fengling.management_token")


class DeletedTests:
    """Without its row a token is as good as before; of an API key, the key is gone."""

    @pytest.mark.parametrize("ends", ["NULL", "'infinity'", "now() + interval '1 day'"])
    def test_deleting_a_good_token_warns(self, session: Session, ends: str) -> None:
        """Whoever does it may mean to revoke it."""
        session.run(f"INSERT INTO fengling.management_token (id, expires_at) VALUES ('t1', {ends})")
        session.run("DELETE FROM fengling.management_token")
        assert 'token "t1": as good as before' in "".join(session.notices)
        assert "fenglingctl token revoke t1" in "".join(session.notices)

    def test_undoing_its_registration_warns(self, session: Session) -> None:
        """It is made all the same."""
        session.run("INSERT INTO fengling.management_token (id) VALUES ('t1'), ('t2')")
        session.run("SELECT fengling.undo(1)")
        told = "".join(session.notices)
        assert 'token "t1": as good' in told or 'token "t1" and 1 more: as good' in told

    def test_deleting_what_is_over_is_silent(self, session: Session) -> None:
        """And so is what deletes nothing."""
        session.run(
            "INSERT INTO fengling.management_token (id, expires_at) VALUES ('t1', now()),"
            " ('t2', '-infinity')",
            "DELETE FROM fengling.management_token",
            "DELETE FROM fengling.management_token",
        )
        assert "as good" not in "".join(session.notices)


class RefusalTests:
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("scopes", "'{}'"),
            ("scopes", "'{gateway:root}'"),
            ("tenants", "'{}'"),
            ("tenants", "'{a b}'"),
            ("tenants", "ARRAY['a', NULL]"),
        ],
    )
    def test_what_limits_nothing_is_refused(
        self, session: Session, column: str, value: str
    ) -> None:
        """An empty list would look like no limit."""
        with pytest.raises(errors.CheckViolation):
            session.run(
                f"INSERT INTO fengling.management_token (id, {column}) VALUES ('t1', {value})"
            )


class RoleTests:
    def test_console_writes_and_gateway_reads(self, cast: Cast) -> None:
        """As with all configuration; the gateway writes none."""
        cast.enter("jane").run(
            "INSERT INTO fengling.management_token (id, tenants) VALUES ('t1', '{acme}')",
            "UPDATE fengling.management_token SET revoked_at = now()",
        )
        gateway = cast.enter("gw")
        assert gateway.value("SELECT id FROM fengling.management_token") == "t1"
        with pytest.raises(errors.InsufficientPrivilege):
            gateway.run("DELETE FROM fengling.management_token")
