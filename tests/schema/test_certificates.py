"""Certificates and secrets in the database: who may do what, and what the log has of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from fengling_gateway import schema
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.schema import migrate
from tests.schema.session import Cast, Session, add_routes, add_service, changes, revisions
from tests.support.issued import SEALED, SHOP

OTHER = SEALED.replace("A", "B")


def add_secret(session: Session, name: str, value: str = SEALED) -> None:
    session.rows("INSERT INTO fengling.secret (id, value) VALUES (%s, %s) RETURNING 1", name, value)


def add_certificate(session: Session, name: str, secret: str = "k") -> None:
    session.rows(
        "INSERT INTO fengling.certificate (id, chain, key_secret) VALUES (%s, %s, %s) RETURNING 1",
        *(name, SHOP.chain, secret),
    )


def everything(session: Session) -> str:
    """Return all that the database has besides the table of secrets itself, and has told."""
    tables = [
        name
        for (name,) in session.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'fengling'::regnamespace"
            " AND relkind IN ('r', 'v') AND relname <> 'secret'"
        )
    ]
    rows = [session.rows(f"SELECT t::text FROM fengling.{name} AS t") for name in tables]
    return f"{rows} {session.notices} {session.notifications()}"


class RevisionTests:
    def test_changes_are_logged_and_announced_as_of_the_gateway(self, session: Session) -> None:
        """There is no such event in the contract with other consoles."""
        session.listen()
        session.run("BEGIN")
        add_certificate(session, "shop")  # before its secret
        add_secret(session, "k")
        session.run("COMMIT")
        assert changes(session) == [
            ("certificate", "shop", "create"),
            ("secret", "k", "create"),
        ]
        session.run("UPDATE fengling.certificate SET enabled = false")
        session.run("UPDATE fengling.certificate SET enabled = false")
        session.run("UPDATE fengling.secret SET value = 'env:KEY'")
        told = [json.loads(one) for one in session.notifications()]
        assert [one["eventType"] for one in told] == ["gateway"] * 3
        assert [one["details"].get("entity") for one in told] == [None, "certificate", "secret"]
        assert revisions(session) == [1, 2, 3]
        assert session.value("SELECT version > 0 FROM fengling.secret")

    def test_nothing_but_the_table_has_a_value(self, session: Session) -> None:
        """Also while the transaction runs, and of what is deleted, truncated or made again."""
        add_secret(session, "k")
        add_secret(session, "gone", OTHER)
        session.listen()
        session.run("BEGIN", f"UPDATE fengling.secret SET value = '{OTHER}' WHERE id = 'k'")
        session.run("DELETE FROM fengling.secret WHERE id = 'gone'")
        pending = session.rows("SELECT before FROM fengling.pending_change ORDER BY entity_id")
        assert ["value" in before for (before,) in pending] == [False, False]
        session.run("COMMIT")
        session.run(f"UPDATE fengling.secret SET value = '{SEALED}'")
        session.run("TRUNCATE fengling.secret CASCADE")
        session.run(
            f"WITH gone AS (DELETE FROM fengling.secret) INSERT INTO fengling.secret (id, value)"
            f" VALUES ('k', '{OTHER}')"
        )
        seen = everything(session)
        assert "AAAAAAAA" not in seen
        assert "BBBBBBBB" not in seen
        [image] = session.rows(
            "SELECT before ->> 'fingerprint', after ->> 'fingerprint' FROM"
            " fengling.revision_change WHERE entity_id = 'k' AND revision = 3"
        )
        assert image == tuple(
            session.value("SELECT fengling.fingerprint(%s)", one) for one in (SEALED, OTHER)
        )

    def test_other_value_of_the_same_length_is_a_change(self, session: Session) -> None:
        """Only its fingerprint tells."""
        add_secret(session, "k")
        session.run(f"UPDATE fengling.secret SET value = '{OTHER}'")
        assert changes(session) == [("secret", "k", "update")]
        session.run(
            "BEGIN",
            f"UPDATE fengling.secret SET value = '{SEALED}'",
            f"UPDATE fengling.secret SET value = '{OTHER}'",
            "COMMIT",
        )
        assert revisions(session) == [1, 2]


class RefusalTests:
    @pytest.mark.parametrize(
        "value",
        ["hunter2", SHOP.key, "file:relative", "file:/a\nb", "env:A B", "env:FENGLING_X", "env:",
         "aes256gcm:k:" + "A" * 36, "aes256gcm:k:" + "A" * 41, "aes256gcm: :" + "A" * 40, "",
         "aes256gcm:k:" + "A" * 44_000, "file:/" + "x" * 4001],
    )  # fmt: skip
    def test_plain_text_is_refused_and_not_repeated(self, session: Session, value: str) -> None:
        """As validation does, so that what the database takes a gateway takes."""
        with pytest.raises(errors.CheckViolation) as caught:
            add_secret(session, "k", value)
        told = str(caught.value)
        assert "Failing row" not in told
        assert len(value) < 5 or value[:20] not in told
        assert not isinstance(validate(Key("secret", "k"), {"value": value}), Accepted)

    @pytest.mark.parametrize(
        "value", ["file:/run/k.pem", "file:/ü x", "env:KEY", "env:_k1", SEALED, f"{SEALED}AA=="]
    )
    def test_reference_and_ciphertext_are_taken(self, session: Session, value: str) -> None:
        """By the table and by validation."""
        add_secret(session, "k", value)
        assert isinstance(validate(Key("secret", "k"), {"value": value}), Accepted)

    def test_private_key_in_a_chain_is_refused(self, session: Session) -> None:
        """The log would keep it for a year."""
        add_secret(session, "k")
        with pytest.raises(errors.CheckViolation, match="chain holds a private key"):
            session.rows(
                "INSERT INTO fengling.certificate (id, chain, key_secret)"
                " VALUES ('c', %s, 'k') RETURNING 1",
                SHOP.chain + SHOP.key,
            )
        with pytest.raises(errors.CheckViolation, match="chain holds no certificate"):
            session.run(
                "INSERT INTO fengling.certificate (id, chain, key_secret) VALUES ('c', 'x', 'k')"
            )

    @pytest.mark.parametrize(
        ("tls", "why"),
        [
            ({"verfy": False}, 'unknown key "verfy" in tls'),
            ({"verify": "no"}, "tls.verify is true or false"),
            ({"sni": 5}, "tls.sni is text, or null"),
            ({"ca": "/etc/ca.pem"}, "tls.ca holds no certificate"),
            ({"ca": SHOP.key}, "tls.ca holds a private key"),
        ],
    )
    def test_odd_tls_of_a_service_is_refused(
        self, session: Session, tls: dict[str, Any], why: str
    ) -> None:
        """By the name of what is wrong."""
        add_service(session, "s")
        with pytest.raises(errors.CheckViolation, match=why):
            session.rows("UPDATE fengling.service SET tls = %s RETURNING 1", json.dumps(tls))

    def test_references_are_checked_at_commit(self, session: Session) -> None:
        """A service may be inserted before its certificate, and that before its secret."""
        session.run(
            "BEGIN",
            "INSERT INTO fengling.service (id, tls) VALUES ('s', '{\"client_certificate\": \"c\"}')",
        )
        add_certificate(session, "c")
        add_secret(session, "k")
        session.run("COMMIT")
        with pytest.raises(errors.ForeignKeyViolation, match='that you delete: "c"'):
            session.run("DELETE FROM fengling.certificate")
        with pytest.raises(errors.ForeignKeyViolation, match="key_secret of a certificate"):
            session.run("DELETE FROM fengling.secret")
        with pytest.raises(errors.ForeignKeyViolation, match='does not exist: "d"'):
            session.run('UPDATE fengling.service SET tls = \'{"client_certificate": "d"}\'')
        session.run("UPDATE fengling.service SET tls = NULL", "DELETE FROM fengling.certificate")
        session.run("DELETE FROM fengling.secret")

    def test_reference_to_what_is_being_deleted_waits(
        self, sessions: Callable[[], Session]
    ) -> None:
        """As with a foreign key: whoever is second finds it gone."""
        first, second = sessions(), sessions()
        add_secret(first, "k")
        add_certificate(first, "c")
        first.run("BEGIN", "DELETE FROM fengling.certificate", "SET CONSTRAINTS ALL DEFERRED")
        second.run("SET lock_timeout = '50ms'")
        with pytest.raises(errors.LockNotAvailable):
            second.run(
                "INSERT INTO fengling.service (id, tls)"
                " VALUES ('s', '{\"client_certificate\": \"c\"}')"
            )
        first.run("COMMIT")


class HeldTests:
    """While a revision is held, a secret stays what it is."""

    @pytest.fixture(autouse=True)
    def _begin(self, session: Session) -> None:
        add_service(session, "hello")
        add_routes(session, 3)
        add_secret(session, "k")

    def test_secret_does_not_change_with_what_is_held(self, session: Session) -> None:
        """There would be no value left for those who serve what was before."""
        session.run("BEGIN", "DELETE FROM fengling.route", "UPDATE fengling.secret SET name = 'x'")
        with pytest.raises(errors.ObjectNotInPrerequisiteState) as caught:
            session.run("COMMIT")
        assert 'secret "k" cannot change in a revision that is held' in str(caught.value)
        assert "This transaction removes 3 of 3 routes" in str(caught.value)
        session.run("BEGIN", "DELETE FROM fengling.route", "SET LOCAL fengling.force = on")
        session.run("UPDATE fengling.secret SET name = 'x'", "COMMIT")

    def test_secret_does_not_change_behind_what_is_held(self, session: Session) -> None:
        """Whoever is in a hurry releases it first; a new one may come."""
        session.run("DELETE FROM fengling.route")
        for change in ("UPDATE fengling.secret SET value = 'env:K'", "DELETE FROM fengling.secret"):
            with pytest.raises(errors.ObjectNotInPrerequisiteState, match="confirm or undo revis"):
                session.run(change)
        add_secret(session, "new")
        session.run("SELECT fengling.confirm(4)", "UPDATE fengling.secret SET value = 'env:K'")
        assert session.value("SELECT held FROM fengling.status") is None


class UndoTests:
    def test_value_cannot_be_put_back(self, session: Session) -> None:
        """It says so, and changes nothing."""
        add_secret(session, "k")
        session.run("BEGIN", "INSERT INTO fengling.tenant (id) VALUES ('t')")
        session.run(f"UPDATE fengling.secret SET value = '{OTHER}'", "COMMIT")
        with pytest.raises(
            errors.ObjectNotInPrerequisiteState,
            match='the value that secret "k" had before revision 2 is not kept',
        ):
            session.run("SELECT fengling.undo(2)")
        assert session.value("SELECT count(*) FROM fengling.tenant") == 1
        session.run("DELETE FROM fengling.secret")
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="is not kept"):
            session.run("SELECT fengling.undo(3)")

    def test_all_else_is_put_back(self, session: Session) -> None:
        """A name, a new secret, and certificates."""
        add_secret(session, "k")
        add_certificate(session, "c")
        session.run("UPDATE fengling.secret SET name = 'x'", "SELECT fengling.undo(3)")
        assert session.rows("SELECT name, value FROM fengling.secret") == [("", SEALED)]
        session.run("DELETE FROM fengling.certificate", "SELECT fengling.undo(5)")
        assert session.value("SELECT chain FROM fengling.certificate") == SHOP.chain
        add_secret(session, "new")
        session.run("SELECT fengling.undo(7)")
        assert session.value("SELECT count(*) FROM fengling.secret") == 1


class RoleTests:
    def test_console_writes_and_gateway_reads(self, cast: Cast) -> None:
        """And a stranger does neither."""
        jane, gateway, mallory = cast.enter("jane"), cast.enter("gw"), cast.enter("mallory")
        jane.run("BEGIN")
        add_secret(jane, "k")
        add_certificate(jane, "c")
        jane.run("COMMIT", "UPDATE fengling.service SET tls = NULL")
        jane.run(
            "INSERT INTO fengling.service (id, tls) VALUES ('s', '{\"client_certificate\": \"c\"}')"
        )
        jane.run("UPDATE fengling.certificate SET name = 'x'", "SELECT fengling.undo(3)")
        assert gateway.value("SELECT value FROM fengling.secret") == SEALED
        assert gateway.value("SELECT fengling.fingerprint('x')").startswith("sha256:")
        for table in ("secret", "certificate"):
            with pytest.raises(errors.InsufficientPrivilege):
                gateway.run(f"UPDATE fengling.{table} SET name = 'y'")
            with pytest.raises(errors.InsufficientPrivilege):
                mallory.run(f"SELECT FROM fengling.{table}")


class UpgradeTests:
    def test_first_schema_with_content_is_upgraded(self, fresh_database: str) -> None:
        """Also one with a TLS of which no gateway has ever made anything."""
        directory = Path(migrate.__file__).with_name("migrations") / "sql"
        names = ("refusals", "tables", "log", "recording", "commit", "functions", "pruning")
        with psycopg2.connect(fresh_database) as connection, connection.cursor() as cursor:
            cursor.execute((directory / "prepare.sql").read_text())
            for name in (*names, "undo", "views"):
                cursor.execute((directory / "0001" / f"{name}.sql").read_text())
            cursor.execute(
                "CREATE TABLE fengling.schema_version (version_num varchar(32) PRIMARY KEY);"
                "INSERT INTO fengling.schema_version VALUES ('0001');"
                "INSERT INTO fengling.service (id, tls) VALUES ('s', '{\"odd\": 1}')"
            )
        connection.close()
        upgraded = schema.upgrade(fresh_database)
        assert (upgraded.before, upgraded.found) == (1, schema.WANTED)
        session = Session(fresh_database)
        try:
            session.run("UPDATE fengling.service SET tls = NULL")
            add_secret(session, "k")
            assert revisions(session) == [1, 2, 3]
        finally:
            session.close()
