"""Upgrading databases, and refusing those that do not fit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import errors

from fengling_gateway import schema
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.schema import SchemaError, SchemaStatus, migrate
from tests.schema.session import Session, add_routes, add_service, revisions


def set_schema(dsn: str, version: int) -> None:
    session = Session(dsn)
    session.run(f"UPDATE fengling.schema_version SET version_num = '{version:04d}'")
    session.close()


class UpgradeTests:
    """`fenglingctl db upgrade`."""

    def test_empty_database_gets_the_newest_schema(self, fresh_database: str) -> None:
        """From nothing to what this code wants."""
        assert schema.upgrade(fresh_database).found == schema.WANTED
        assert schema.check(fresh_database).usable

    def test_upgrade_again_changes_nothing(self, migrated_database: str) -> None:
        """No revision either: nobody's configuration has changed."""
        schema.upgrade(migrated_database)
        session = Session(migrated_database)
        assert revisions(session) == []
        session.close()

    def test_two_at_once_are_one_after_the_other(self, fresh_database: str) -> None:
        """Two hosts are installed at the same time."""
        with ThreadPoolExecutor(2) as executor:
            found = list(executor.map(schema.upgrade, [fresh_database] * 2))
        assert [one.found for one in found] == [schema.WANTED] * 2

    def test_failed_upgrade_leaves_nothing(
        self, fresh_database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of it is one transaction."""
        monkeypatch.setattr(migrate, "WANTED", 99)
        with pytest.raises(Exception, match="99"):
            schema.upgrade(fresh_database)
        session = Session(fresh_database)
        assert session.value("SELECT to_regnamespace('fengling') IS NULL")
        session.close()

    def test_database_in_another_encoding_is_refused(self, postgres: PostgresServer) -> None:
        """SQL_ASCII would let bytes in that are no text."""
        postgres.psql("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'")
        with pytest.raises(SchemaError, match="database ascii has encoding SQL_ASCII"):
            schema.upgrade(postgres.dsn("ascii"))

    def test_unreachable_database_is_one_line(self) -> None:
        """libpq likes several."""
        with pytest.raises(SchemaError) as caught:
            schema.upgrade("postgresql://nobody@127.0.0.1:1/x")
        assert "\n" not in str(caught.value)
        assert "refused" in str(caught.value)

    def test_script_does_the_same_in_psql(
        self, postgres: PostgresServer, fresh_database: str
    ) -> None:
        """For those whose databases only administrators may change."""
        postgres.psql(migrate.script(), dsn=fresh_database)
        assert schema.check(fresh_database).found == schema.WANTED

    def test_wanted_is_the_newest_migration(self) -> None:
        """Whoever adds one has to say so."""
        versions = Path(migrate.MIGRATIONS / "versions").glob("[0-9]*.py")
        assert max(int(one.name[:4]) for one in versions) == schema.WANTED

    def test_supported_versions_of_postgresql(self, each_postgres: PostgresServer) -> None:
        """The oldest and the newest that the wheel brings; 14 and 15 use the same SQL."""
        dsn = each_postgres.create_database()
        schema.upgrade(dsn)
        session = Session(dsn)
        add_service(session, "hello")
        add_routes(session, 3)
        session.run("DELETE FROM fengling.route")
        session.run("SELECT fengling.confirm(3)", "SELECT fengling.prune()")
        session.run("TABLE fengling.status", "TABLE fengling.history")
        assert revisions(session) == [1, 2, 3]
        session.close()


class CheckTests:
    """Code of version N runs on schema N and N + 1."""

    def test_no_schema_says_what_to_run(self, fresh_database: str) -> None:
        """The first thing that a newcomer meets."""
        with pytest.raises(
            SchemaError, match="has no fengling schema; run: fenglingctl db upgrade"
        ):
            schema.check(fresh_database)

    def test_next_schema_is_fine(self, migrated_database: str) -> None:
        """The database is upgraded first, the gateways one by one."""
        set_schema(migrated_database, schema.WANTED + 1)
        assert schema.check(migrated_database).found == schema.WANTED + 1
        upgraded = schema.upgrade(migrated_database)
        assert upgraded.found == schema.WANTED + 1
        assert upgraded.describe().endswith("which works with it; nothing to upgrade")

    def test_schema_after_the_next_is_refused(self, migrated_database: str) -> None:
        """Nobody has tested that."""
        set_schema(migrated_database, schema.WANTED + 2)
        with pytest.raises(SchemaError, match="install a newer fengling-gateway"):
            schema.check(migrated_database)
        with pytest.raises(SchemaError, match="install a newer fengling-gateway"):
            schema.upgrade(migrated_database)

    def test_older_schema_is_refused(self) -> None:
        """It lacks what the code asks for."""
        status = SchemaStatus(2, 3, "config", "18.0")
        assert not status.usable
        assert status.describe() == (
            "database config has schema 2, this version needs 3; "
            "run: fenglingctl db upgrade --database URL"
        )

    def test_check_takes_a_connection(self, migrated_database: str) -> None:
        """Who has one need not open another."""
        connection = psycopg2.connect(migrated_database)
        assert schema.check(connection).found == schema.WANTED
        connection.close()


class RoleTests:
    """Owner, console and gateway."""

    @pytest.fixture(autouse=True)
    def _users(self, postgres: PostgresServer, migrated_database: str) -> None:
        for name in ("console", "gateway"):
            postgres.psql(
                f"DO $$ BEGIN CREATE ROLE test_{name} LOGIN IN ROLE fengling_{name};"
                " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            )
        owner = Session(migrated_database)
        add_service(owner, "hello")
        owner.close()
        self.dsn = migrated_database

    def _as(self, role: str) -> Session:
        return Session(self.dsn.replace("postgres@", f"test_{role}@"))

    def test_console_writes_configuration(self) -> None:
        """Every CHECK, trigger and function of it works with its rights."""
        session = self._as("console")
        session.run("BEGIN", "SELECT fengling.describe('by the console', 'jane')")
        session.run(
            "INSERT INTO fengling.route (id, path, hosts, methods, match, policies, split)"
            " VALUES ('r', '/a/{b}', '{a.example}', '{GET}', '{\"query\": []}',"
            " '{\"retry\": {}}', '{\"hello\": 1}')"
        )
        session.run("UPDATE fengling.route SET priority = 1", "COMMIT")
        assert session.rows(
            "SELECT author, author_verified, db_user FROM fengling.revision WHERE id = 2"
        ) == [("jane", False, "test_console")]
        session.run("DELETE FROM fengling.route", "SELECT fengling.confirm(3)")
        session.run("SELECT fengling.reload()", "SELECT fengling.prune()")
        session.close()

    @pytest.mark.parametrize("role", ["console", "gateway"])
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE fengling.revision SET author = 'somebody else'",
            "DELETE FROM fengling.revision_change",
            "UPDATE fengling.head SET routes = 0",
            "INSERT INTO fengling.txn DEFAULT VALUES",
            "SELECT * FROM fengling.pending_change",
            "SELECT fengling.write_changes(1)",
            "TRUNCATE fengling.route",
            "ALTER TABLE fengling.route DISABLE TRIGGER ALL",
        ],
    )
    def test_log_cannot_be_written_by_hand(self, role: str, statement: str) -> None:
        """Only triggers write it."""
        session = self._as(role)
        with pytest.raises(errors.InsufficientPrivilege):
            session.run(statement)
        session.close()

    def test_gateway_reads_and_confirms(self) -> None:
        """And nothing else."""
        session = self._as("gateway")
        for table in (
            "setting",
            "tenant",
            "service",
            "instance",
            "instance_health",
            "route",
            "revision",
            "revision_change",
            "head",
            "schema_version",
            "status",
            "history",
            "effective_policies",
        ):
            session.run(f"SELECT * FROM fengling.{table}")
        session.run("SELECT fengling.epoch()", "SELECT fengling.reload()")
        session.run("SELECT fengling.confirm(1)")
        with pytest.raises(errors.InsufficientPrivilege):
            session.run("UPDATE fengling.service SET name = 'x'")
        session.close()

    def test_author_of_another_is_not_verified(self) -> None:
        """Anybody may claim, only a console vouches."""
        session = Session(self.dsn)
        session.run("BEGIN", "SET LOCAL fengling.author = 'test_console'")
        session.run("UPDATE fengling.service SET name = 'x'", "COMMIT")
        assert session.value("SELECT author_verified FROM fengling.revision WHERE id = 2") is False
        session.close()

    def test_everything_belongs_to_the_owner_role(self) -> None:
        """Definer functions must not run as a superuser."""
        session = Session(self.dsn)
        assert session.rows(
            "SELECT DISTINCT proowner::regrole::text FROM pg_proc"
            " WHERE pronamespace = 'fengling'::regnamespace"
        ) == [("fengling_owner",)]
        session.close()

    def test_definer_functions_have_a_fixed_search_path(self) -> None:
        """Nobody smuggles in a function of the same name."""
        session = Session(self.dsn)
        assert (
            session.rows(
                "SELECT proname FROM pg_proc WHERE pronamespace = 'fengling'::regnamespace"
                " AND prosecdef AND NOT coalesce(proconfig @> '{\"search_path=pg_catalog, pg_temp\"}',"
                " false)"
            )
            == []
        )
        session.close()

    def test_user_who_may_not_create_roles_can_upgrade(self, postgres: PostgresServer) -> None:
        """The roles are there, made for another database; everything else is theirs."""
        postgres.psql("CREATE ROLE small_fry LOGIN")
        postgres.psql("CREATE DATABASE small_fry OWNER small_fry TEMPLATE template0")
        dsn = postgres.dsn("small_fry", user="small_fry")
        assert schema.upgrade(dsn).usable
        session = Session(dsn)
        add_service(session, "hello")
        assert revisions(session) == [1]
        session.close()
