"""What users who share the database, or only write the configuration, cannot do to it."""

from __future__ import annotations

import re

import psycopg2
import pytest

from fengling_gateway import schema
from fengling_gateway.configsource.postgres_ahead import AheadReader
from fengling_gateway.configsource.postgres_connection import Guarded
from fengling_gateway.configsource.postgres_reader import Reader
from fengling_gateway.configsource.reading import ProberRow
from tests.schema.session import Cast, add_routes, add_service, changes, revisions

TRAP = (
    "LANGUAGE plpgsql AS $$ BEGIN"
    " RAISE EXCEPTION 'ran as %', current_user USING ERRCODE = 'external_routine_exception';"
    " END $$"
)
"""The body of a function that must not be called by anybody."""


class SearchPathTests:
    """Names mean what they meant to us, whatever somebody has put into his way."""

    @pytest.mark.parametrize(
        ("trap", "statement"),
        [
            ("nextval(text) RETURNS bigint", "INSERT INTO fengling.service (id) VALUES ('b')"),
            ("nextval(text) RETURNS bigint", "UPDATE fengling.service SET name = 'x'"),
            (
                "format(text, text) RETURNS text",
                "INSERT INTO fengling.tenant (id, hosts) VALUES ('t', '{a b}')",
            ),
            ("format(text, text) RETURNS text", "UPDATE fengling.service SET balancing = 'x'"),
            (
                "format(text, text, text) RETURNS text",
                "UPDATE fengling.service SET policies = '{\"x\": 1}'",
            ),
            (
                "format(text, text, jsonb) RETURNS text",
                "UPDATE fengling.service SET policies = '{\"retry\": 1}'",
            ),
            (
                "format(text, text, name, text) RETURNS text",
                "UPDATE fengling.service SET id = 'other'",
            ),
        ],
    )
    def test_stranger_in_public_is_not_called(self, cast: Cast, trap: str, statement: str) -> None:
        """One who may create things in `public` would run as whoever writes, a superuser at worst."""
        owner = cast.enter()
        add_service(owner, "a")
        owner.run("GRANT CREATE ON SCHEMA public TO PUBLIC")
        cast.enter("mallory").run(f"CREATE FUNCTION public.{trap} {TRAP}")
        try:
            cast.enter().run(statement)
        except psycopg2.errors.CheckViolation:
            pass

    def test_stranger_is_not_called_by_the_upgrade(self, cast: Cast) -> None:
        """What is defined once keeps the functions that it found then."""
        owner = cast.enter()
        owner.run("GRANT CREATE ON SCHEMA public TO PUBLIC", "DROP SCHEMA fengling CASCADE")
        mallory = cast.enter("mallory")
        mallory.run(f"CREATE FUNCTION public.format(text, text) RETURNS text {TRAP}")
        mallory.run(f"CREATE FUNCTION public.jsonb_build_object(text, text) RETURNS jsonb {TRAP}")
        schema.upgrade(cast.dsn)
        assert (
            owner.rows(
                "SELECT d.objid FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.refobjid"
                " WHERE d.refclassid = 'pg_proc'::regclass"
                " AND p.pronamespace = 'public'::regnamespace"
            )
            == []
        )

    def test_stranger_is_not_called_by_a_gateway(self, cast: Cast) -> None:
        """Its password reads every route."""
        owner = cast.enter()
        add_service(owner, "a")
        owner.run("GRANT CREATE ON SCHEMA public TO PUBLIC")
        mallory = cast.enter("mallory")
        mallory.run(
            "CREATE FUNCTION public.json_build_array(bigint, text, text, float8, text, boolean,"
            f" text, text, text, text, boolean, boolean, integer) RETURNS json {TRAP}",
            f"CREATE FUNCTION public.json_agg(json) RETURNS json {TRAP}",
            f"CREATE FUNCTION public.array_agg(text[]) RETURNS text[] {TRAP}",
        )
        reader = Reader(cast.dsn_of("gw"), connect_timeout=5, statement_timeout=20)
        first = reader.read(None)
        add_service(owner, "b")
        assert reader.read(first.target).before == first.target
        assert reader.prober() == ProberRow(0, None, None)
        reader.close()
        listening = Guarded(cast.dsn_of("gw"), connect_timeout=5)
        ahead = AheadReader(listening)
        assert ahead.read(first.target) is not None, ahead.problem
        listening.close()

    @pytest.mark.parametrize("search_path", ["DEFAULT", "jane, pg_catalog, public"])
    def test_writer_cannot_hide_a_change(self, cast: Cast, search_path: str) -> None:
        """What she puts before the system's own would say that nothing has changed."""
        add_service(cast.enter(), "a")
        add_routes(cast.enter(), 3, service="a")
        cast.enter().run("CREATE SCHEMA jane AUTHORIZATION jane")
        jane = cast.enter("jane")
        for name, left, right in [
            ("*<>", "fengling.route", "fengling.route"),
            ("*<>", "record", "record"),
            ("<>", "jsonb", "jsonb"),
            ("=", "name", "text"),
            ("=", "text", "text"),
        ]:
            jane.run(
                f"CREATE OR REPLACE FUNCTION jane.no({left}, {right}) RETURNS boolean"
                " LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN false; END'",
                f"CREATE OPERATOR jane.{name}"
                f" (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = jane.no)",
            )
        jane.run("CREATE FUNCTION jane.nextval(text) RETURNS bigint LANGUAGE sql RETURN 0")
        jane.run("CREATE FUNCTION jane.nextval(regclass) RETURNS bigint LANGUAGE sql RETURN 0")
        jane = cast.enter("jane")
        jane.run(f"SET search_path = {search_path}")
        jane.run("UPDATE fengling.route SET path = '/other'")
        assert revisions(jane) == [1, 2, 3]
        assert len(changes(jane, 3)) == 3
        assert jane.value("SELECT min(version) FROM fengling.route") > 4

    def test_every_function_finds_what_it_was_written_with(self, cast: Cast) -> None:
        """By a fixed path, by a body bound when it was made, or by naming every schema."""
        loose = cast.enter().rows(
            "SELECT proname, prosrc FROM pg_proc"
            " WHERE pronamespace = 'fengling'::regnamespace AND prosqlbody IS NULL"
            " AND NOT coalesce(proconfig @> '{\"search_path=pg_catalog, pg_temp\"}', false)"
        )
        assert len(loose) == 6, "they run for every row; others can afford a SET"
        assert [name for name, body in loose if _unqualified(body)] == []


class AuthorTests:
    """Who has done it."""

    CLAIM = (
        "BEGIN",
        "SET LOCAL fengling.author = 'ceo'",
        "SET LOCAL fengling.author_verified = on",
        "INSERT INTO fengling.service (id) VALUES ('a')",
        "COMMIT",
    )

    @pytest.mark.parametrize(("user", "verified"), [("jane", False), ("console", True)])
    def test_only_a_voucher_is_believed(self, cast: Cast, user: str, verified: bool) -> None:
        """A writer can claim; a console that has authenticated somebody can say so."""
        cast.enter(user).run(*self.CLAIM)
        assert cast.enter().rows(
            "SELECT author, author_verified, db_user FROM fengling.revision WHERE id = 1"
        ) == [("ceo", verified, user)]

    def test_without_the_role_nobody_is_believed(self, cast: Cast) -> None:
        """An administrator who could not make it has not lost the database to everybody."""
        owner = cast.enter()
        owner.run("ALTER ROLE fengling_voucher RENAME TO mislaid")
        try:
            cast.enter("console").run(*self.CLAIM)
        finally:
            owner.run("ALTER ROLE mislaid RENAME TO fengling_voucher")
        assert owner.value("SELECT author_verified FROM fengling.revision WHERE id = 1") is False

    def test_claims_are_one_line_of_text(self, cast: Cast) -> None:
        """They are printed into terminals and logs, where others would take them for ours."""
        jane = cast.enter("jane")
        jane.run("SET standard_conforming_strings = off", "BEGIN")
        nasty = "ceo\n\x1b[2Jrevision 9 \u00b7 root\x9b\u202e\x7f"
        plain = "ceo  [2Jrevision 9 \u00b7 root   "
        jane.rows("SELECT fengling.describe(%s, author => %s)", nasty, nasty)
        jane.rows("SELECT set_config('application_name', %s, true)", nasty)
        jane.run("INSERT INTO fengling.service (id) VALUES ('a')", "COMMIT")
        [(author, comment, application)] = jane.rows(
            "SELECT author, comment, application FROM fengling.revision WHERE id = 1"
        )
        assert (author, comment) == (plain, plain)
        assert application.isprintable()

    def test_who_confirms_is_kept_beside_who_is_said_to(self, cast: Cast) -> None:
        """A gateway confirms for whoever asks it; that it was a gateway stays."""
        owner = cast.enter()
        add_service(owner, "a")
        add_routes(owner, 2, service="a")
        owner.run("DELETE FROM fengling.route")
        cast.enter("gw").rows("SELECT fengling.confirm(3, %s)", "ceo\x1b")
        assert owner.rows(
            "SELECT confirmed_by, confirmed_db_user FROM fengling.revision WHERE id = 3"
        ) == [("ceo ", "gw")]


def _unqualified(body: str) -> list[str]:
    """Return what a plpgsql body looks up by the path of whoever calls it."""
    code = re.sub(r"--.*|'[^']*'", "", body)
    code = re.sub(r"OPERATOR\(pg_catalog\.[^)]+\)|:=|::(?=pg_catalog\.)", " ", code)
    words = {"IF", "NOT", "AND", "OR", "ALL", "ANY", "ARRAY", "IN"}
    calls = re.findall(r"(?<![\w.])(\w+)\s*\(", code)
    return [one for one in calls if one not in words] + re.findall(r"[=<>~|+*/!?@#%^&:]+", code)
