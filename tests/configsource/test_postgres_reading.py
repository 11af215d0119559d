"""What a source reads: everything, or what has changed; as of what is to be served."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from fengling_gateway.configsource.postgres_rows import JsonRows, values_of
from fengling_gateway.configsource.reading import (
    ConfigSource,
    Held,
    NotHeldError,
    Row,
    SourceError,
)
from fengling_gateway.model.delta import Position
from fengling_gateway.model.entity import Key
from fengling_gateway.model.problems import Problem
from fengling_gateway.model.validation import SOURCE_PROBLEMS, Rejected, validate
from tests.configsource.postgres_source import SourceInTest, contents
from tests.schema.session import Session, add_routes, add_service


class FullTests:
    """From nowhere."""

    def test_empty_database_reads_as_nothing_at_revision_0(self, source: SourceInTest) -> None:
        """There is a position from the start."""
        reading = source.read()
        assert (reading.before, reading.target.revision, len(reading.rows)) == (None, 0, 0)
        assert source.state.last_read_at == 1795334400.0, "the calendar's, not the reactor's"

    def test_full_reading_has_every_row_of_every_kind(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Each with all columns, by its own key."""
        add_service(session, "hello")
        add_routes(session, 2)
        session.run(
            "INSERT INTO fengling.setting VALUES ('hold', '{}')",
            "INSERT INTO fengling.tenant (id) VALUES ('acme')",
            "INSERT INTO fengling.instance VALUES ('i', 'hello', 'acme', 'http://h:1')",
            "INSERT INTO fengling.instance_health VALUES ('i', 'healthy')",
        )
        reading = source.read()
        assert list(contents(reading)) == [
            "setting hold",
            "tenant acme",
            "service hello",
            "instance i",
            "instance_health i",
            "route r1",
            "route r2",
        ]
        assert contents(reading)["service hello"]["connect_timeout"] == "PT3S"
        assert reading.rows_read == 7
        assert [one.revision for one in reading.revisions] == [reading.target.revision]

    def test_tables_and_log_agree_on_every_value(
        self, source: SourceInTest, session: Session
    ) -> None:
        """The same entity has the same values whichever way it is read."""
        before = source.read().target
        session.run("SET timezone = 'Asia/Shanghai'", "SET intervalstyle = 'postgres'")
        session.run(
            "INSERT INTO fengling.service (id, name, idle_timeout, policies, labels) VALUES"
            " ('hello', 'wörld 中', '90 min', '{\"x-a\": 1.50, \"x-b\": [1e3, null]}', '{\"a\": \"b\"}')",
            "INSERT INTO fengling.route (id, service_id, hosts, valid_from, match) VALUES"
            " ('r', 'hello', '{a.example,b.example}', '2026-01-01 00:00:00.5+08', '{\"query\": []}')",
            "INSERT INTO fengling.instance VALUES ('i', 'hello', NULL, 'http://h:1')",
            "INSERT INTO fengling.instance_health VALUES ('i', 'healthy', 'ok')",
        )
        assert dict(source.read(before).rows) == dict(source.read_all().rows)


class IncrementalTests:
    """From a position that the log knows."""

    def test_nothing_new_reads_nothing(self, source: SourceInTest, session: Session) -> None:
        """The answer to most polls."""
        add_service(session, "hello")
        at = source.read().target
        reading = source.read(at)
        assert (reading.before, reading.target) == (at, at)
        assert (len(reading.rows), reading.revisions, reading.rows_read) == (0, [], 0)

    def test_changed_entities_come_once_with_their_newest_values(
        self, source: SourceInTest, session: Session
    ) -> None:
        """However often they have changed; the deleted ones as None."""
        add_service(session, "hello", "world")
        add_routes(session, 100)
        at = source.read().target
        session.run("UPDATE fengling.route SET priority = 1 WHERE id = 'r5'")
        session.run("UPDATE fengling.route SET priority = 2 WHERE id = 'r5'")
        session.run("DELETE FROM fengling.service WHERE id = 'world'")
        session.run("BEGIN", "SELECT fengling.describe('done', 'ops')")
        session.run("DELETE FROM fengling.route WHERE id = 'r6'", "COMMIT")
        reading = source.read(at)
        assert reading.before == at
        assert contents(reading)["route r5"]["priority"] == 2
        assert contents(reading)["route r6"] is contents(reading)["service world"] is None
        assert (len(reading.rows), reading.rows_read) == (3, 3)
        assert [one.revision for one in reading.revisions] == [4, 5, 6, 7]
        last = reading.revisions[-1]
        assert (last.author, last.comment, last.changes, last.kind) == ("ops", "done", 1, "config")
        assert last.token == reading.target.token

    def test_ten_thousand_revisions_are_read_at_once(
        self, source: SourceInTest, session: Session
    ) -> None:
        """With the newest thousand lines of the log, which are for people."""
        add_service(session, "hello")
        at = source.read().target
        session.run(
            "DO $$ BEGIN FOR i IN 1..1200 LOOP"
            " UPDATE fengling.service SET name = i; COMMIT; END LOOP; END $$"
        )
        reading = source.read(at)
        assert contents(reading) == {"service hello": contents(reading)["service hello"]}
        assert contents(reading)["service hello"]["name"] == "1200"
        assert len(reading.revisions) == 1000
        assert reading.revisions[-1].revision == reading.target.revision == 1201

    def test_one_of_a_hundred_thousand_rows_costs_one_row(
        self, source: SourceInTest, session: Session
    ) -> None:
        """The cost is that of the change."""
        add_service(session, "hello")
        add_routes(session, 5000)
        at = source.read().target
        session.run("UPDATE fengling.route SET priority = 1 WHERE id = 'r77'")
        assert source.read(at).rows_read == 1


class UnknownPositionTests:
    """From a position that the log does not know: everything."""

    def test_other_epoch_reads_everything(self, source: SourceInTest, session: Session) -> None:
        """Another database, or this one after a failover."""
        add_service(session, "hello")
        at = source.read().target
        assert source.read(at._replace(epoch="file:/x")).before is None

    def test_stale_token_reads_everything(self, source: SourceInTest, session: Session) -> None:
        """Restored to an older state that has since overtaken our number."""
        add_service(session, "a")
        session.run("CREATE TABLE public.saved AS TABLE fengling.revision")
        session.run("CREATE TABLE public.saved_head AS TABLE fengling.head")
        add_service(session, "lost")
        at = source.read().target
        _restore(session)
        add_service(session, "b", "c")
        reading = source.read(at)
        assert reading.target.revision > at.revision
        assert reading.before is None
        assert set(contents(reading)) == {"service a", "service b", "service c"}

    def test_position_ahead_of_the_database_reads_everything(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Restored and not overtaken yet: the number goes back."""
        add_service(session, "a")
        session.run("CREATE TABLE public.saved AS TABLE fengling.revision")
        session.run("CREATE TABLE public.saved_head AS TABLE fengling.head")
        add_service(session, "lost")
        at = source.read().target
        _restore(session)
        reading = source.read(at)
        assert (reading.before, reading.target.revision) == (None, 1)

    def test_pruned_log_reads_everything(self, source: SourceInTest, session: Session) -> None:
        """Who was away for longer than the log reaches back."""
        add_service(session, "a")
        at = source.read().target
        add_service(session, "b")
        session.run("DELETE FROM fengling.service WHERE id = 'a'")
        add_service(session, "c")
        session.run("UPDATE fengling.revision SET committed_at = '2020-01-01' WHERE id <= 3")
        session.run("SELECT fengling.prune()")
        reading = source.read(at)
        assert reading.before is None
        assert set(contents(reading)) == {"service b", "service c"}
        assert reading.continues, "who was away serves what everybody has been serving since"

    def test_other_histories_do_not_continue_ours(
        self, source: SourceInTest, session: Session
    ) -> None:
        """What a database that was replaced removes, nobody has confirmed."""
        add_service(session, "a")
        at = source.read().target
        add_service(session, "b", "c")
        session.run("UPDATE fengling.revision SET committed_at = '2020-01-01' WHERE id <= 2")
        for other in (
            at._replace(epoch="file:/x"),
            at._replace(token="other"),
            at._replace(revision=99),
            at._replace(revision=-1),
        ):
            assert not source.read(other).continues
        session.run("SELECT fengling.prune()")
        assert not source.read(at._replace(epoch="file:/x")).continues
        assert not source.read(at._replace(revision=3)).continues
        assert not source.read().continues

    def test_far_behind_reads_everything(self, source: SourceInTest, session: Session) -> None:
        """However long the log is, catching up takes no longer than starting."""
        add_service(session, "a")
        at = source.read().target
        add_service(session, "b")
        behind = 9_999
        session.run(
            "INSERT INTO fengling.revision SELECT id + i, token, kind, committed_at, author,"
            " author_verified, db_user, application, client_addr, comment, forced, held, changes,"
            " routes, baseline_revision, baseline_routes FROM fengling.revision,"
            f" generate_series(1, {behind}) AS i WHERE id = 2",
            f"UPDATE fengling.head SET revision = 2 + {behind}, baseline_revision = 2 + {behind}",
        )
        assert source.read(at).before == at
        add_service(session, "c")
        reading = source.read(at)
        assert (reading.before, reading.continues) == (None, True)
        assert set(contents(reading)) == {"service a", "service b", "service c"}

    def test_changes_that_take_too_long_give_way_to_everything(
        self, sources: Callable[..., SourceInTest], session: Session
    ) -> None:
        """They would take longer yet the next time, and the host would never come back."""
        source = sources(session.dsn, statement_timeout=0.3, listen=False)
        at = source.read().target
        add_service(session, "a")
        session.run("BEGIN", "LOCK TABLE fengling.revision_change")
        reading = source.read(at)
        session.run("ROLLBACK")
        assert (reading.before, reading.continues) == (None, True)
        assert set(contents(reading)) == {"service a"}

    def test_rewritten_tables_are_seen_by_the_slow_compare(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Triggers see nothing in replica mode; reading the tables does."""
        add_service(session, "a")
        at = source.read().target
        session.run("SET session_replication_role = replica", "DELETE FROM fengling.service")
        assert len(source.read(at).rows) == 0
        reading = source.read_all()
        assert (reading.target, reading.before, contents(reading)) == (at, None, {})


def _restore(session: Session) -> None:
    """Set the database back, as a restored backup does."""
    session.run(
        "BEGIN",
        "SET LOCAL session_replication_role = replica",
        "DELETE FROM fengling.service WHERE id = 'lost'",
        "DELETE FROM fengling.revision_change WHERE entity_id = 'lost'",
        "DELETE FROM fengling.revision",
        "INSERT INTO fengling.revision TABLE public.saved",
        "DELETE FROM fengling.head",
        "INSERT INTO fengling.head TABLE public.saved_head",
        "COMMIT",
    )


class HeldTests:
    """While a revision is held, what was before it is what is read."""

    @pytest.fixture(autouse=True)
    def _configuration(self, session: Session) -> None:
        add_service(session, "hello")
        add_routes(session, 4)

    def _remove_all(self, session: Session) -> None:
        session.run("BEGIN", "DELETE FROM fengling.route")
        session.run("INSERT INTO fengling.tenant (id) VALUES ('new')")
        session.run("UPDATE fengling.service SET name = 'held'", "COMMIT")
        session.run("UPDATE fengling.service SET name = 'held, too'")

    def test_incremental_reading_stays_where_it_was(
        self, source: SourceInTest, session: Session
    ) -> None:
        """And says what is held."""
        at = source.read().target
        self._remove_all(session)
        reading = source.read(at)
        assert (reading.before, reading.target, len(reading.rows)) == (at, at, 0)
        assert reading.held == Held(3, 4, 0)
        assert reading.held.describe() == "held: revision 3 removes 4 of 4 routes"
        assert [one.held for one in reading.revisions] == [True, True]

    def test_full_reading_undoes_what_is_held(self, source: SourceInTest, session: Session) -> None:
        """A host that starts now serves the same as all others."""
        expected = source.read()
        self._remove_all(session)
        reading = source.read()
        assert contents(reading) == contents(expected)
        assert reading.target == expected.target
        assert reading.held == Held(3, 4, 0)

    def test_confirmed_reading_goes_on(self, source: SourceInTest, session: Session) -> None:
        """From the baseline to the newest, in one step."""
        at = source.read().target
        self._remove_all(session)
        source.loop.result(source.source.confirm(3, "ops"))
        reading = source.read(at)
        assert (reading.before, reading.target.revision, reading.held) == (at, 4, None)
        assert contents(reading)["route r1"] is None
        assert contents(reading)["service hello"]["name"] == "held, too"
        assert session.value("SELECT confirmed_by FROM fengling.revision WHERE id = 3") == "ops"

    def test_confirm_of_what_is_not_held_says_so(self, source: SourceInTest) -> None:
        """Who mistypes a number must not read that it is confirmed."""
        source.read()
        with pytest.raises(NotHeldError, match="revision 1 is not held; revision 2 is served"):
            source.loop.result(source.source.confirm(1, "ops"))
        assert source.source.state.connected, "the database has answered"

    def test_confirm_of_an_unknown_revision_is_one_line(self, source: SourceInTest) -> None:
        """What the database says reaches whoever asked."""
        source.read()
        with pytest.raises(SourceError, match="there is no revision 99"):
            source.loop.result(source.source.confirm(99, "ops"))
        assert source.source.state.connected, "the database has answered"


class HistoryTests:
    """Versions of entities, to fall back on."""

    def test_versions_come_newest_first_up_to_a_revision(
        self, source: SourceInTest, session: Session
    ) -> None:
        """What came later is of no concern."""
        add_service(session, "a", "b")
        for name in ("one", "two", "three"):
            session.run(f"UPDATE fengling.service SET name = '{name}' WHERE id = 'a'")
        keys = [Key("service", "a"), Key("service", "b"), Key("route", "nowhere")]
        found = source.loop.result(source.source.history(keys, 4))
        assert [one["name"] for one in found[keys[0]]] == ["two", "one", ""]
        assert len(found[keys[1]]) == 1
        assert found[keys[2]] == []

    def test_versions_from_before_a_deletion_do_not_come_back(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Made again is another entity of the same name."""
        add_service(session, "a")
        session.run("UPDATE fengling.service SET name = 'old'", "DELETE FROM fengling.service")
        add_service(session, "a")
        [versions] = source.loop.result(source.source.history([Key("service", "a")], 99)).values()
        assert [one["name"] for one in versions] == [""]

    @pytest.mark.parametrize(
        ("until_it_is_back", "served"),
        [
            ((), False),
            (("UPDATE fengling.service SET name = 'x'",), False),
            (("SELECT fengling.confirm(4)",), True),
            (("SELECT fengling.confirm(4)", "INSERT INTO fengling.tenant (id) VALUES ('t')"), True),
            (("INSERT INTO fengling.route (id, service_id) VALUES ('other', 'a')",), True),
        ],
    )
    def test_deletion_that_was_never_served_ends_no_history(
        self,
        source: SourceInTest,
        session: Session,
        until_it_is_back: tuple[str, ...],
        served: bool,
    ) -> None:
        """Held, and undone: what kept serving meanwhile is still there to fall back on."""
        add_service(session, "a")
        session.run(
            "INSERT INTO fengling.route (id, path, service_id) VALUES ('r', '/old', 'a')",
            "UPDATE fengling.route SET path = '~('",
            "DELETE FROM fengling.route",
            *until_it_is_back,
            "INSERT INTO fengling.route (id, path, service_id) VALUES ('r', '~((', 'a')",
        )
        [versions] = source.loop.result(source.source.history([Key("route", "r")], 99)).values()
        assert [one["path"] for one in versions] == ["~(("] + ([] if served else ["~(", "/old"])

    def test_deletion_that_has_only_waited_ends_the_history(
        self, source: SourceInTest, session: Session
    ) -> None:
        """It was served when the revision before it was confirmed."""
        add_service(session, "a")
        add_routes(session, 4, service="a")
        add_service(session, "old")
        session.run(
            "DELETE FROM fengling.route WHERE id <> 'r1'",
            "DELETE FROM fengling.service WHERE id = 'old'",
            "SELECT fengling.confirm(4)",
        )
        add_service(session, "old")
        [versions] = source.loop.result(source.source.history([Key("service", "old")], 99)).values()
        assert len(versions) == 1

    def test_state_before_the_first_known_change_is_a_version(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Older lines have been pruned, or were never written."""
        add_service(session, "a")
        session.run("UPDATE fengling.service SET name = 'x'")
        session.run("DELETE FROM fengling.revision_change WHERE revision = 1")
        [versions] = source.loop.result(source.source.history([Key("service", "a")], 99)).values()
        assert [one["name"] for one in versions] == ["x", ""]


class PoisonTests:
    """Rows that got past every CHECK reject themselves and not the reading."""

    @pytest.mark.parametrize(
        "value",
        [
            "1" * 5000,
            "[" * 3000 + "]" * 3000,
            "1e400",
            '"\\ud83d\\ude00"',
            '"' + "x" * 3_000_000 + '"',
        ],
        ids=["digits", "depth", "huge", "emoji", "megabytes"],
    )
    def test_odd_json_does_not_break_the_reading(
        self, source: SourceInTest, session: Session, value: str
    ) -> None:
        """Both ways of reading give a row, whatever it says."""
        at = source.read().target
        add_service(session, "fine")
        with session.connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO fengling.service (id, policies) VALUES ('odd', %s)",
                (f'{{"x-odd": {value}}}',),
            )
        for reading in (source.read(at), source.read()):
            rows = dict(reading.rows)
            assert rows[Key("service", "fine")] is not None
            odd = rows[Key("service", "odd")]
            assert odd is not None
            assert odd["id"] == "odd"

    def test_rows_parse_lazily_and_compare_like_lists(self) -> None:
        """Text until somebody looks."""
        rows = JsonRows(
            [("setting", "a", '{"key": "a"}'), ("route", "b", None), ("route", "c", "[]")]
        )
        assert rows[0] == Row(Key("setting", "a"), {"key": "a"})
        assert rows[1:] == [
            Row(Key("route", "b"), None),
            Row(
                Key("route", "c"),
                {"id": "c", SOURCE_PROBLEMS: ["the row is an empty list, not an object"]},
            ),
        ]
        assert repr(rows) == "<JsonRows of 3>"

    @pytest.mark.parametrize("kind", ["route", "service", "setting"])
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('{"policies": {"x-n": ' + "9" * 5000 + "}}", "a number has too many digits"),
            ('{"policies": ' + "[" * 100_000 + "]" * 100_000 + "}", "it is nested too deeply"),
        ],
    )
    def test_row_that_python_cannot_parse_is_rejected_for_that(
        self, kind: str, text: str, reason: str
    ) -> None:
        """Also where every column has a default: it must not become a row of defaults."""
        key = Key(kind, "hold")
        verdict = validate(key, values_of(key, text))
        assert isinstance(verdict, Rejected)
        [problem] = verdict.problems
        assert problem == Problem(f"{kind} hold", "source", f"the row can't be read: {reason}")


class SchemaTests:
    """Databases that are not ours, or not any more."""

    def test_database_without_schema_says_what_to_do(
        self, sources: Callable[..., SourceInTest], fresh_database: str
    ) -> None:
        """The newcomer's first mistake, in one line."""
        source = sources(fresh_database)
        with pytest.raises(
            SourceError, match="has no fengling schema; run: fenglingctl db upgrade"
        ):
            source.read()

    def test_dropped_table_is_an_error_and_no_empty_configuration(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Nothing to read is not the same as nothing there."""
        add_service(session, "a")
        source.read()
        session.run("DROP TABLE fengling.setting CASCADE")
        with pytest.raises(SourceError, match="schema fengling is missing or not whole"):
            source.read()

    def test_upgraded_database_too_far_ahead_is_refused(
        self, source: SourceInTest, session: Session
    ) -> None:
        """Also under a connection that was fine before."""
        source.read()
        session.run("UPDATE fengling.schema_version SET version_num = '0099'")
        with pytest.raises(SourceError, match="schema 99"):
            source.read()

    def test_statement_that_takes_too_long_is_an_error(
        self, sources: Callable[..., SourceInTest], session: Session
    ) -> None:
        """The server ends it, and the next reading finds a working connection."""
        source = sources(session.dsn, statement_timeout=0.3)
        source.read()
        session.run("BEGIN", "LOCK TABLE fengling.head")
        with pytest.raises(SourceError, match="statement timeout"):
            source.read()
        session.run("ROLLBACK")
        assert source.read().target.revision == 0


def test_source_is_a_config_source(source: SourceInTest) -> None:
    """Checked by mypy; here is the assignment it checks."""
    checked: ConfigSource = source.source
    assert repr(checked).startswith("<PostgresSource")


def test_positions_survive_json(source: SourceInTest) -> None:
    """They are kept in files and sent in messages."""
    position = source.read().target
    assert Position(*json.loads(json.dumps(position))) == position
