"""Commands that talk to a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fengling_gateway.cli import cold_start
from fengling_gateway.configsource import postgres_queries
from fengling_gateway.configsource.postgres_rows import values_of
from fengling_gateway.editing import rows
from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.model.entity import Key
from tests.cli.conftest import Run, document

CONFIGURATION = """
settings:
  hold: {max_removed_share: 0.6}
tenants:
  - {id: acme, hosts: [acme.example], labels: {plan: gold}}
services:
  - id: orders
    connect_timeout: 2s
    policies: {timeouts: {first_byte: 5s}}
    instances: [{address: "http://10.0.0.5:8080"}, {address: "http://10.0.0.6:8080", weight: 3}]
  - id: v2
routes:
  hello: {path: "/api/hello/**", split: {orders: 90, v2: 10}, policies: {path: {strip: /api}}}
  old: {path: /old, redirect: {location: "https://new.example{path}"}, valid_to: 2030-01-01T00:00:00Z}
  acme: {tenant_id: acme, service_id: orders, priority: 5, methods: [get]}
"""


SHADOW = """services: [{id: s}]
routes:
  - {id: over, service_id: s, priority: 1}
  - {id: under, service_id: s, path: /a}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(CONFIGURATION)
    return path


PUBLIC = "public, for anybody to ask: acme, hello, old\n"


class TestSchema:
    def test_an_empty_database_is_upgraded(self, run: Run, fresh_database: str) -> None:
        """Status before is 2, after 0; a second upgrade does nothing, and says so."""
        arguments = ("--database", fresh_database)
        before = run("db", "status", *arguments)
        assert (before.exit_code, before.output.count("\n")) == (2, 1)
        assert "fenglingctl db upgrade" in before.output
        for done in ("it had no schema before", "nothing to upgrade, the grants are renewed"):
            result = run("db", "upgrade", *arguments)
            assert (result.exit_code, "up to date" in result.stdout) == (0, True)
            assert (done in result.stdout, result.stdout.count("\n")) == (True, 1)
        after = run("db", "status", *arguments, "-o", "json")
        assert (after.exit_code, document(after)["usable"]) == (0, True)

    @pytest.mark.parametrize("command", [("db", "status"), ("db", "upgrade"), ("export",)])
    def test_a_database_that_is_away_is_one_line(self, run: Run, command: tuple[str, ...]) -> None:
        """Status 2, and no password in it."""
        url = "postgresql://ops:canary@127.0.0.1:1/x?connect_timeout=2"
        result = run(*command, "--database", url)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "canary" not in result.output

    @pytest.mark.parametrize(
        "command", [("export",), ("diff", "FILE"), ("apply", "FILE"), ("validate",)]
    )
    def test_without_a_schema_nothing_is_done(
        self, run: Run, fresh_database: str, file: Path, command: tuple[str, ...]
    ) -> None:
        """It says what to run."""
        arguments = [str(file) if one == "FILE" else one for one in command]
        result = run(*arguments, "--database", fresh_database)
        assert result.exit_code == 2
        assert "fenglingctl db upgrade" in result.stderr

    def test_without_a_database_it_says_how_to_name_one(self, run: Run) -> None:
        """Option or environment."""
        result = run("export")
        assert (result.exit_code, "--database" in result.stderr) == (2, True)


class TestApply:
    def test_a_file_becomes_one_revision(self, run: Run, file: Path, sql: Any) -> None:
        """With author and comment; again, it changes nothing."""
        assert run("diff", str(file)).exit_code == 1
        result = run("apply", str(file), "-m", "first", "--author", "ops")
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "revision 1 (9 changes)")
        assert sql("SELECT author, comment, changes FROM fengling.revision WHERE id = 1") == [
            ("ops", "first", 9)
        ]
        assert run("diff", str(file)).exit_code == 0
        assert run("apply", str(file)).stdout == "nothing to change\n"
        assert sql("SELECT max(id) FROM fengling.revision") == [(1,)]

    def test_values_arrive_as_they_were_meant(self, run: Run, file: Path, sql: Any) -> None:
        """Intervals, times, arrays, nulls, defaults."""
        run("apply", str(file))
        assert sql(
            "SELECT extract(epoch FROM connect_timeout)::int, extract(epoch FROM idle_timeout)::int,"
            " health_check, policies -> 'timeouts' ->> 'first_byte' FROM fengling.service"
            " WHERE id = 'orders'"
        ) == [(2, 60, None, "5.0")]
        assert sql(
            "SELECT path, valid_to = '2030-01-01T00:00:00Z', hosts, service_id, redirect ->> 'status'"
            " FROM fengling.route WHERE id = 'old'"
        ) == [("/old", True, [], None, "302")]
        assert sql("SELECT methods, tenant_id FROM fengling.route WHERE id = 'acme'") == [
            (["GET"], "acme")
        ]
        assert sql("SELECT labels FROM fengling.tenant") == [({"plan": "gold"},)]

    def test_an_export_applies_to_itself(self, run: Run, file: Path, dsn: str) -> None:
        """And to an empty database it brings the same."""
        run("apply", str(file))
        for arguments in ((), ("--full",)):
            exported = run("export", *arguments).stdout
            assert run("diff", "-", stdin=exported).exit_code == 0

    def test_a_change_shows_its_fields(self, run: Run, file: Path, dsn: str) -> None:
        """Only those that change, before and after."""
        run("apply", str(file))
        file.write_text(CONFIGURATION.replace("orders: 90", "orders: 50"))
        result = run("diff", str(file))
        assert result.stdout.splitlines() == [
            "~ route hello",
            '    split: {"orders": 90, "v2": 10} → {"orders": 50, "v2": 10}',
        ]
        applied = document(run("apply", str(file), "-o", "json"))
        assert (applied["revision"], applied["held"], len(applied["changes"])) == (2, None, 1)

    def test_nothing_is_written_that_diff_does_not_show(self, run: Run, sql: Any) -> None:
        """Rows by hand leave defaults out, and what does not change keeps that form."""
        sql("INSERT INTO fengling.service (id) VALUES ('s')")
        sql(
            "INSERT INTO fengling.route (id, path, split, match, policies) VALUES"
            ' (\'r\', \'/a/b\', \'{"s": 1}\', \'{"cookies": [{"name": "a", "op": "exists"}]}\','
            ' \'{"path": {"strip": "/a"}, "timeouts": {"idle": "5s"}}\')'
        )
        text = run("export").stdout

        def change(old: str, new: str) -> None:
            nonlocal text
            assert text.count(old) == 1
            text = text.replace(old, new)
            applied = run("apply", "-", stdin=text)
            assert applied.exit_code == 0, applied.output
            assert run("diff", "-", stdin=text).exit_code == 0

        columns = "SELECT split, match, policies FROM fengling.route"
        ((_, match, policies),) = sql(columns)
        change("s: 1", "s: 2")
        assert sql(columns) == [({"s": 2}, match, policies)]
        change("strip: /a", "strip: /a/b")
        policies["path"]["strip"] = "/a/b"
        assert sql(columns) == [({"s": 2}, match, policies)]

    def test_what_is_not_in_the_file_stays(self, run: Run, file: Path, sql: Any) -> None:
        """Unless it is pruned, and only what is managed by the same."""
        run("apply", str(file), "--managed-by", "git:a")
        sql("INSERT INTO fengling.service (id) VALUES ('by-hand')")
        less = CONFIGURATION.replace("  - id: v2\n", "").replace(", v2: 10", "")
        file.write_text(less)
        assert run("apply", str(file), "--managed-by", "git:a").exit_code == 0
        assert len(sql("SELECT id FROM fengling.service")) == 3
        result = run("apply", str(file), "--managed-by", "git:a", "--prune")
        assert "- service v2" in result.stdout
        assert sql("SELECT id FROM fengling.service ORDER BY id") == [("by-hand",), ("orders",)]
        assert run("apply", str(file), "--prune").exit_code == 2

    @pytest.mark.parametrize("command", ["apply", "diff"])
    def test_nothing_is_pruned_by_a_file_that_says_nothing(
        self, run: Run, file: Path, sql: Any, command: str
    ) -> None:
        """It may be what is left of one; without ``--prune`` it only says nothing."""
        run("apply", str(file), "--managed-by", "git:a")
        arguments = (command, "-", "--managed-by", "git:a")
        refused = run(*arguments, "--prune", stdin="# routes\n")
        assert (refused.exit_code, "-: must have sections" in refused.stderr) == (2, True)
        assert len(sql("SELECT id FROM fengling.service")) == 2
        assert run(*arguments, stdin="# routes\n").exit_code == 0

    def test_what_others_manage_is_left_alone(self, run: Run, file: Path, sql: Any) -> None:
        """Until it is taken over explicitly."""
        run("apply", str(file), "--managed-by", "git:a")
        file.write_text(CONFIGURATION.replace("priority: 5", "priority: 6"))
        refused = run("apply", str(file), "--managed-by", "git:b")
        assert (refused.exit_code, "(by git:a)" in refused.stderr) == (2, True)
        assert run("apply", str(file), "--managed-by", "git:b", "--take-over").exit_code == 0
        assert sql("SELECT DISTINCT managed_by FROM fengling.route") == [("git:b",)]

    def test_a_file_with_errors_changes_nothing(self, run: Run, file: Path, sql: Any) -> None:
        """All of them are listed with their lines."""
        run("apply", str(file))
        bad = "routes:\n  - {id: a, service_id: nobody}\n  - {id: b, path: '~(', service_id: orders}\n"
        file.write_text(bad)
        for command in ("apply", "diff"):
            result = run(command, str(file))
            assert result.exit_code == 2
            assert "routes.yaml:2" in result.stdout
            assert "routes.yaml:3" in result.stdout
        assert sql("SELECT max(id) FROM fengling.revision") == [(1,)]

    def test_a_reference_to_what_is_in_the_database_is_fine(self, run: Run, dsn: str) -> None:
        """Files of several teams refer to each other."""
        run("apply", "-", stdin="services: [{id: shared}]")
        assert run("apply", "-", stdin="routes: [{id: r, service_id: shared}]").exit_code == 0

    def test_what_gateways_serve_in_an_older_version_can_be_referred_to(
        self, run: Run, sql: Any
    ) -> None:
        """A service that is rejected does not stop everybody's routes; one that never was good does."""
        sql("INSERT INTO fengling.service (id) VALUES ('s')")
        sql("UPDATE fengling.service SET affinity = '{}'")
        sql("INSERT INTO fengling.service (id, affinity) VALUES ('new', '{}')")
        text = "routes: [{id: r, service_id: s}]"
        assert run("diff", "-", stdin=text).exit_code == 1
        assert run("apply", "-", stdin=text).exit_code == 0
        assert (
            run("apply", "-", stdin=text.replace("service_id: s", "service_id: new")).exit_code == 2
        )
        bad = "services: [{id: s, affinity: {}}]"
        assert run("apply", "-", stdin=bad).exit_code == 2, "in the file it must be good"

    def test_a_held_revision_is_status_1(self, run: Run, file: Path, sql: Any) -> None:
        """It is committed and not served; forced, it is."""
        run("apply", str(file), "--managed-by", "git:a")
        nothing = "settings: {hold: {max_removed_share: 0.6}}"
        result = run("apply", "-", "--managed-by", "git:a", "--prune", stdin=nothing)
        assert (result.exit_code, "removes 3 of 3 routes" in result.stderr) == (1, True)
        sql("SELECT fengling.confirm(2)")
        run("apply", str(file), "--managed-by", "git:a")
        forced = run("apply", "-", "--managed-by", "git:a", "--prune", "--force", stdin=nothing)
        assert forced.exit_code == 0

    def test_what_the_database_refuses_is_one_line(self, run: Run, dsn: str) -> None:
        """Two instances with one address: only the database sees that."""
        twice = (
            "services: [{id: s}]\n"
            "instances: [{id: a, service_id: s, address: 'http://a:1'},"
            " {id: b, service_id: s, address: 'http://a:1'}]"
        )
        result = run("apply", "-", stdin=twice)
        assert (result.exit_code, "one instance per service" in result.stderr) == (2, True)

    def test_an_instance_comes_back_under_another_id(self, run: Run, sql: Any) -> None:
        """What goes makes room first."""
        text = "services: [{id: s}]\ninstances: [{id: ID, service_id: s, address: 'http://a:1'}]"
        for name in ("a", "b"):
            arguments = ("apply", "-", "--managed-by", "git:a", "--prune")
            assert run(*arguments, stdin=text.replace("ID", name)).exit_code == 0
        assert sql("SELECT id FROM fengling.instance") == [("b",)]

    def test_thousands_of_routes_are_one_revision(self, run: Run, sql: Any) -> None:
        """In batches, within seconds."""
        routes = [{"id": f"r{n}", "path": f"/r/{n}", "service_id": "s"} for n in range(2500)]
        text = yaml.safe_dump({"services": [{"id": "s"}], "routes": routes})
        result = run("apply", "-", stdin=text)
        assert result.stdout.splitlines()[-1] == "revision 1 (2501 changes)"
        assert sql("SELECT count(*) FROM fengling.route") == [(2500,)]


class TestSnapshots:
    """What is read is of one moment, though it takes a query for each kind."""

    @pytest.fixture
    def _busy(self, monkeypatch: pytest.MonkeyPatch, sql: Any) -> None:
        """Let a revision of services and routes be committed when the services have been read."""
        sql("INSERT INTO fengling.service (id) VALUES ('old')")

        def somebody_writes(key: Key, text: str) -> dict[str, Any]:
            if key == Key("service", "old"):
                sql(
                    "INSERT INTO fengling.service (id) VALUES ('new');"
                    "INSERT INTO fengling.route (id, service_id) VALUES ('new', 'new')"
                )
            return values_of(key, text)

        monkeypatch.setattr(rows, "values_of", somebody_writes)

    @pytest.mark.usefixtures("_busy")
    def test_an_export_is_of_one_moment(self, run: Run) -> None:
        """No route without the service that came with it."""
        assert run("export").stdout == "services:\n- id: old\n"

    @pytest.mark.usefixtures("_busy")
    def test_a_diff_is_of_one_moment(self, run: Run) -> None:
        """A file of what there was is no difference."""
        arguments = ("diff", "-", "--managed-by", "git:a", "--prune", "--take-over", "-o", "json")
        text = "routes: [{id: new, service_id: old}]"
        [change] = document(run(*arguments, stdin=text))["changes"]
        assert change["action"] == "create"


class TestWarnings:
    """What diff and apply say of routes, as far as it is due to the change."""

    def test_a_change_that_shadows_another_route_is_told(self, run: Run, dsn: str) -> None:
        """By diff before and by apply at it; it does not count as a failure."""
        run("apply", "-", stdin=SHADOW.replace("priority: 1", "path: /b"))
        changed = SHADOW.replace("  - {id: under, service_id: s, path: /a}\n", "")
        line = "! route under can never be chosen: over comes before it"
        assert line in run("diff", "-", stdin=changed).stdout
        result = run("apply", "-", stdin=changed)
        assert (result.exit_code, line in result.stdout) == (0, True)
        assert result.stdout.splitlines()[-1] == "revision 2 (1 change)"

    def test_what_was_odd_before_is_not_repeated(self, run: Run, dsn: str) -> None:
        """`validate` lists it."""
        run("apply", "-", stdin=SHADOW)
        more = "routes: [{id: other, path: /b, service_id: s, priority: 2}]"
        result = run("diff", "-", "-o", "json", stdin=more)
        assert document(result)["warnings"] == []
        assert "!" not in run("apply", "-", stdin=SHADOW).stdout

    def test_what_is_deleted_shadows_nothing(self, run: Run, dsn: str) -> None:
        """The configuration is looked at as it will be."""
        run("apply", "-", "--managed-by", "git:a", stdin=SHADOW)
        pruned = "services: [{id: s}]\nroutes: [{id: under, service_id: s, path: /a, priority: -1}]"
        arguments = ("diff", "-", "--managed-by", "git:a", "-o", "json")
        kept = run(*arguments, stdin=pruned)
        assert [one["other"] for one in document(kept)["warnings"]] == ["over"]
        gone = run(*arguments, "--prune", stdin=pruned)
        assert [one["action"] for one in document(gone)["changes"]] == ["delete", "update"]
        assert document(gone)["warnings"] == []


class TestValidate:
    def test_a_good_file_is_status_0(self, run: Run, file: Path) -> None:
        """Without any database."""
        result = run("validate", str(file))
        assert (result.exit_code, result.stdout) == (
            0,
            f"{PUBLIC}9 valid, 0 rejected, 0 warnings\n",
        )

    def test_everything_wrong_in_a_file_is_listed(self, run: Run, file: Path) -> None:
        """With lines, and the dependents of what is rejected."""
        file.write_text(
            "services:\n  - {id: s, balancing: fair}\nroutes:\n  - {id: r, service_id: s}\n"
        )
        result = run("validate", str(file), "-o", "json")
        assert result.exit_code == 1
        assert [(one["id"], one["where"]) for one in document(result)["rejected"]] == [
            ("r", f"{file}:4"),
            ("s", f"{file}:2"),
        ]

    def test_warnings_are_no_errors_unless_strict(self, run: Run) -> None:
        """What the linter finds stands after what is rejected."""
        text = SHADOW + "  - {id: wrong, path: x}\n"
        result = run("validate", "-", stdin=SHADOW)
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (
            0,
            "3 valid, 0 rejected, 1 warning",
        )
        assert run("validate", "-", "--strict", stdin=SHADOW).exit_code == 1
        both = run("validate", "-", stdin=text)
        assert both.exit_code == 1
        assert both.stdout.index("rejected") < both.stdout.index("warning")

    def test_warnings_name_the_other_route(self, run: Run) -> None:
        """For programs, with a code."""
        result = run("validate", "-", "-o", "json", stdin=SHADOW)
        (warning,) = document(result)["warnings"]
        assert (warning["code"], warning["route"], warning["other"], warning["where"]) == (
            *("shadowed", "under", "over"),
            "-:4",
        )

    def test_instances_that_are_sent_nothing_are_warned_of(self, run: Run, tmp_path: Path) -> None:
        """Before a gateway refuses them; a gateway's settings say what it allows."""
        text = (
            "services:\n- id: s\n  instances:\n"
            "  - {id: meta, address: 'http://169.254.169.254'}\n"
            "  - {id: here, address: 'http://127.0.0.1:9000'}\n"
            "  - {id: there, address: 'http://10.0.0.5'}\n"
        )
        result = run("validate", "-", "-o", "json", stdin=text)
        assert [
            (one["code"], one["instance"], one["where"]) for one in document(result)["warnings"]
        ] == [("address_refused", "here", "-:5"), ("address_refused", "meta", "-:4")]
        said = run("validate", "-", stdin=text).stdout
        assert "instance here" in said
        assert "127.0.0.1 is loopback: [upstream] allow does not name it" in " ".join(said.split())
        config = tmp_path / "gateway.toml"
        config.write_text(
            'source = "file"\n[file]\npath = "x"\n[management]\nenabled = false\n'
            '[upstream]\nallow = ["127.0.0.0/8"]\n'
        )
        allowed = run("validate", "-", "--config", str(config), "-o", "json", stdin=text)
        assert [one["instance"] for one in document(allowed)["warnings"]] == ["meta"]

    def test_apply_warns_of_instances_that_it_writes(self, run: Run, dsn: str) -> None:
        """And of no others."""
        services = "services: [{id: s, instances: [{id: %s, address: 'http://127.0.0.1:9000'}]}]"
        first = run("apply", "-", stdin=services % "a")
        assert first.exit_code == 0
        assert "! instance a is sent nothing (by gateways that do not allow it)" in first.stdout
        second = document(run("diff", "-", "-o", "json", stdin=services % "b"))
        assert [one["instance"] for one in second["warnings"]] == ["b"]

    def test_the_database_is_linted_too(self, run: Run, dsn: str) -> None:
        """What got in by SQL has passed no apply."""
        run("apply", "-", stdin=SHADOW)
        result = run("validate", "--database", dsn, "--strict")
        assert (result.exit_code, "route under" in result.stdout) == (1, True)

    @pytest.mark.parametrize("text", ["[", "routes: 1", "rutes: []", "\x00"])
    def test_a_file_that_is_none_is_one_line(self, run: Run, text: str) -> None:
        """With the line."""
        result = run("validate", "-", stdin=text)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)

    def test_bad_rows_in_the_database_are_listed(
        self, run: Run, file: Path, dsn: str, sql: Any
    ) -> None:
        """With what is served in their place."""
        run("apply", str(file))
        sql('ALTER TABLE fengling.instance DROP CONSTRAINT "weight is from 0 to 65535"')
        sql("UPDATE fengling.instance SET weight = -1 WHERE address LIKE '%%6:8080'")
        sql("INSERT INTO fengling.instance VALUES ('new', 'v2', NULL, 'http://a:1', -2)")
        result = run("validate", "--database", dsn, "-o", "json")
        assert result.exit_code == 1
        assert {one["id"]: one["serving"] for one in document(result)["rejected"]} == {
            "new": "nothing",
            "orders-10.0.0.6-8080": "previous version",
        }
        assert run("validate", "--database", dsn, str(file)).exit_code == 2
        assert run("validate").exit_code == 1, "the environment names the same database"

    def test_it_looks_as_far_back_as_a_gateway(self, run: Run, dsn: str, sql: Any) -> None:
        """A good version is found behind many bad ones, and none behind a deletion."""
        sql("INSERT INTO fengling.service (id) VALUES ('often'), ('anew')")
        sql('ALTER TABLE fengling.service DROP CONSTRAINT "balancing is known"')
        for number in range(30):
            sql(f"UPDATE fengling.service SET balancing = 'bad{number}' WHERE id = 'often'")
        sql("DELETE FROM fengling.service WHERE id = 'anew'")
        sql("INSERT INTO fengling.service (id, balancing) VALUES ('anew', 'bad')")
        result = run("validate", "--database", dsn, "-o", "json")
        assert {one["id"]: one["serving"] for one in document(result)["rejected"]} == {
            "anew": "nothing",
            "often": "previous version",
        }

    def test_while_a_revision_is_held_what_is_served_is_judged(
        self, run: Run, file: Path, dsn: str, sql: Any
    ) -> None:
        """A gateway that starts now serves that; and it says what is held."""
        run("apply", str(file))
        sql("DELETE FROM fengling.route")
        result = run("validate", "--database", dsn)
        assert (result.exit_code, result.stdout) == (
            0,
            f"{PUBLIC}9 valid, 0 rejected, 0 warnings\n",
        )
        assert "fenglingctl confirm 2" in result.stderr
        held = document(run("validate", "--database", dsn, "-o", "json"))["held"]
        assert held.startswith("held: revision 2 removes")

    def test_rows_are_read_at_one_moment(
        self, run: Run, file: Path, dsn: str, sql: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A route may not be found without the service that came with it."""
        tables = postgres_queries._table
        kinds: list[str] = []

        def table(connection: Any, kind: str, within: float) -> Any:
            if kind == "route":
                sql("INSERT INTO fengling.service (id) VALUES ('late')")
                sql("INSERT INTO fengling.route (id, service_id) VALUES ('late', 'late')")
            kinds.append(kind)
            return tables(connection, kind, within)

        run("apply", str(file))
        monkeypatch.setattr(postgres_queries, "_table", table)
        result = run("validate", "--database", dsn)
        assert (result.stdout, "route" in kinds) == (
            f"{PUBLIC}9 valid, 0 rejected, 0 warnings\n",
            True,
        )

    def test_a_database_that_is_away_is_one_line(self, run: Run) -> None:
        """Status 2."""
        result = run("validate", "--database", "postgresql://127.0.0.1:1/none")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "can't be read" in result.stderr

    def test_a_server_that_freezes_is_given_up(
        self, run: Run, dsn: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No timeout of its own ends the wait for it."""

        def table(*_: Any) -> Any:
            postgres.freeze()
            return tables(*_)

        tables = postgres_queries._table
        monkeypatch.setattr(postgres_queries, "_table", table)
        monkeypatch.setattr(cold_start, "STATEMENT_SECONDS", 0.1)
        try:
            result = run("validate", "--database", dsn)
        finally:
            postgres.thaw()
        assert (result.exit_code, "no answer from the database" in result.stderr) == (2, True)

    def test_a_good_database_is_status_0(self, run: Run, file: Path, dsn: str) -> None:
        """Nothing to say."""
        run("apply", str(file))
        assert run("validate", "--database", dsn).exit_code == 0
