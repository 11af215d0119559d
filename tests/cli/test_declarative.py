"""Files for a part of the configuration, and what others have changed of it since."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.editing.drift import application
from tests.cli.conftest import Run, Sql, document

FILE = """
services:
  - {id: shop, labels: {team: shop, tier: 1}}
  - {id: search, labels: {team: search}}
routes:
  - {id: shop, path: "/shop/{**rest}", service_id: shop, labels: {team: shop}}
  - {id: search, path: "/search", service_id: search, labels: {team: search}}
"""


def changed(result: Any) -> list[str]:
    return [f"{one['action']} {one['kind']} {one['id']}" for one in document(result)["changes"]]


class TestSelector:
    """Only entities with certain labels."""

    def test_only_the_labelled_are_compared(self, run: Run, dsn: str) -> None:
        """And applied; the others are left out, which is said."""
        arguments = ("-", "--selector", "team=shop")
        result = run("diff", *arguments, "-o", "json", stdin=FILE)
        assert changed(result) == ["create service shop", "create route shop"]
        assert "2 of 4 entities in the files have other labels" in result.stderr
        assert run("apply", *arguments, stdin=FILE).exit_code == 0
        assert run("diff", *arguments, stdin=FILE).exit_code == 0
        assert changed(run("diff", "-", "-o", "json", stdin=FILE)) == [
            "create service search",
            "create route search",
        ]

    def test_all_labels_count(self, run: Run, dsn: str) -> None:
        """In one option or in several; numbers as they are written."""
        for arguments in (
            ("--selector", "team=shop,tier=1"),
            ("--selector", "team = shop", "--selector", "tier=1"),
        ):
            result = run("diff", "-", *arguments, "-o", "json", stdin=FILE)
            assert changed(result) == ["create service shop"]

    def test_only_the_labelled_are_pruned(self, run: Run, sql: Sql) -> None:
        """What has other labels stays, although it is managed by the same and not in the file."""
        owned = ("--managed-by", "git:a")
        run("apply", "-", *owned, stdin=FILE)
        arguments = (*owned, "--prune", "--selector", "team=shop")
        nothing = "settings: {hold: {max_removed_share: 1}}"
        run("apply", "-", stdin=nothing)
        result = run("apply", "-", *arguments, stdin=nothing)
        assert result.exit_code == 0, result.output
        assert sql("SELECT id FROM fengling.route") == [("search",)]

    def test_who_loses_the_labels_is_changed_and_not_pruned(self, run: Run, sql: Sql) -> None:
        """In the database it has them still."""
        owned = ("--managed-by", "git:a")
        run("apply", "-", *owned, stdin=FILE)
        other = FILE.replace(
            "service_id: shop, labels: {team: shop}", "service_id: shop, labels: {team: x}"
        )
        arguments = (*owned, "--prune", "--selector", "team=shop")
        assert changed(run("diff", "-", *arguments, "-o", "json", stdin=other)) == [
            "update route shop"
        ]
        run("apply", "-", *arguments, stdin=other)
        assert sql("SELECT labels FROM fengling.route WHERE id = 'shop'") == [({"team": "x"},)]

    def test_errors_elsewhere_are_nobody_s_business(self, run: Run, dsn: str) -> None:
        """But what is chosen must be right, with what it refers to."""
        wrong = FILE.replace("id: search, labels", "id: search, balancing: fair, labels")
        assert run("apply", "-", "--selector", "team=shop", stdin=wrong).exit_code == 0
        assert run("apply", "-", "--selector", "team=search", stdin=wrong).exit_code == 2
        lonely = FILE.replace("{team: search}}\nroutes", "{}}\nroutes")
        assert run("diff", "-", "--selector", "team=search", stdin=lonely).exit_code == 2

    def test_only_the_labelled_are_exported(self, run: Run, dsn: str) -> None:
        """Which can be applied as it is."""
        run("apply", "-", stdin=FILE)
        exported = run("export", "--selector", "team=shop").stdout
        assert "search" not in exported
        assert run("diff", "-", stdin=exported).exit_code == 0

    @pytest.mark.parametrize("selector", ["team", "=x", "", "a=1,a=2", "a=1,"])
    def test_what_is_no_selector_is_a_mistake(self, run: Run, dsn: str, selector: str) -> None:
        """Not one that chooses nothing, or everything."""
        for command in (("diff", "-"), ("apply", "-"), ("export",)):
            result = run(*command, "--selector", selector, stdin=FILE)
            assert (result.exit_code, "--selector" in result.stderr) == (2, True)


class TestDryRun:
    def test_the_plan_is_a_table(self, run: Run, sql: Sql) -> None:
        """With what there is and what would be; nothing is written."""
        run("apply", "-", stdin=FILE)
        changed_file = FILE.replace("id: shop, path", "id: shop, priority: 3, path")
        result = run("apply", "-", "--dry-run", stdin=changed_file)
        lines = [line.split() for line in result.stdout.splitlines()]
        assert lines[0] == ["WHAT", "FIELD", "IS", "WOULD", "BE"]
        assert lines[2] == ["~", "route", "shop", "priority", "0", "3"]
        assert result.stdout.endswith("dry run: nothing is written\n")
        assert result.exit_code == 0
        assert sql("SELECT max(id) FROM fengling.revision") == [(1,)]
        assert run("apply", "-", "--dry-run", stdin=FILE).stdout == "nothing to change\n"

    def test_programs_can_read_it(self, run: Run, sql: Sql) -> None:
        """As of diff; it says what it is."""
        told = document(run("apply", "-", "--dry-run", "-o", "json", stdin=FILE))
        assert (told["dry_run"], len(told["changes"]), "revision" in told) == (True, 4, False)
        assert sql("SELECT max(id) FROM fengling.revision") == [(0,)]

    def test_what_is_wrong_is_status_2(self, run: Run, dsn: str) -> None:
        """As it would be without."""
        bad = "routes: [{id: a, service_id: nobody}]"
        assert run("apply", "-", "--dry-run", stdin=bad).exit_code == 2


class TestDrift:
    """What others have changed since it was applied."""

    OWNED = ("--managed-by", "git:shop")

    @pytest.fixture
    def _applied(self, run: Run, sql: Sql) -> None:
        assert run("apply", "-", *self.OWNED, stdin=FILE).exit_code == 0

    def drift(self, run: Run, file: str = FILE, *more: str) -> list[tuple[Any, ...]]:
        result = run("diff", "-", *self.OWNED, *more, "-o", "json", stdin=file)
        return [
            (f"{one['kind']} {one['id']}", one["field"], [each["id"] for each in one["revisions"]])
            for one in document(result)["drift"]
        ]

    @pytest.mark.usefixtures("_applied")
    def test_who_has_changed_it_is_named(self, run: Run, sql: Sql) -> None:
        """By field, with the revision; a later one of somebody else, too."""
        sql("UPDATE fengling.service SET name = 'x' WHERE id = 'search'")
        sql(
            "BEGIN; SELECT fengling.describe('hotfix', author => 'jane');"
            "UPDATE fengling.route SET priority = 3 WHERE id = 'shop'; COMMIT"
        )
        sql("UPDATE fengling.route SET priority = 4, methods = '{GET}' WHERE id = 'shop'")
        assert self.drift(run) == [
            ("service search", "name", [2]),
            ("route shop", "methods", [4]),
            ("route shop", "priority", [4, 3]),
        ]
        told = run("diff", "-", *self.OWNED, stdin=FILE).stdout
        assert "    priority: 4 → 0\n      changed since by postgres in revision 4, " in told
        assert "changed since by jane (as postgres) in revision 3, " in told
        assert "(hotfix)" in told
        rehearsed = run("apply", "-", *self.OWNED, "--dry-run", stdin=FILE).stdout
        assert "! route shop: methods changed since by postgres in revision 4" in rehearsed
        run("apply", "-", *self.OWNED, stdin=FILE)
        assert self.drift(run) == []

    @pytest.mark.usefixtures("_applied")
    def test_what_the_file_has_changed_is_none(self, run: Run, sql: Sql) -> None:
        """Nor is what was changed before it was applied the last time."""
        other = FILE.replace("id: shop, path", "id: shop, priority: 3, path")
        assert self.drift(run, other) == []
        sql("UPDATE fengling.route SET priority = 9 WHERE id = 'shop'")
        run("apply", "-", *self.OWNED, stdin=other)
        assert self.drift(run) == []
        assert "changed since" not in run("diff", "-", *self.OWNED, stdin=FILE).stdout

    @pytest.mark.usefixtures("_applied")
    def test_what_is_gone_or_came_is_named(self, run: Run, sql: Sql) -> None:
        """Deleted, or made as if it were managed by the same."""
        sql("DELETE FROM fengling.route WHERE id = 'search'")
        sql("INSERT INTO fengling.service (id, managed_by) VALUES ('mine', 'git:shop')")
        assert self.drift(run, FILE, "--prune") == [
            ("service mine", None, [3]),
            ("route search", None, [2]),
        ]
        assert (
            "+ route search\n      changed since by"
            in run("diff", "-", *self.OWNED, stdin=FILE).stdout
        )
        less = FILE.partition("  - {id: search, path")[0]
        gone = [one for one in self.drift(run, less, "--prune") if one[0] == "route search"]
        assert gone == []

    def test_without_a_mark_the_past_tells(self, run: Run, sql: Sql) -> None:
        """Of what an older version has applied: it was once as it is wanted."""
        run("apply", "-", *self.OWNED, stdin=FILE)
        sql("UPDATE fengling.revision SET application = 'fenglingctl'")
        sql("UPDATE fengling.route SET priority = 3 WHERE id = 'shop'")
        sql("UPDATE fengling.route SET priority = 4 WHERE id = 'shop'")
        assert self.drift(run) == [("route shop", "priority", [3, 2])]
        other = FILE.replace("id: shop, path", "id: shop, priority: 9, path")
        assert self.drift(run, other) == []

    def test_the_log_says_that_it_was_applied(self, run: Run, sql: Sql) -> None:
        """And by which name."""
        run("apply", "-", *self.OWNED, stdin=FILE)
        assert sql("SELECT application FROM fengling.revision WHERE id = 1") == [
            ("fenglingctl apply git:shop",)
        ]
        assert "via fenglingctl apply git:shop" in run("history").stdout

    @pytest.mark.parametrize("name", ["git:" + "x" * 90, "git:läden", "a" * 44 + "é", "风铃" * 30])
    def test_any_name_is_known_again(self, run: Run, sql: Sql, name: str) -> None:
        """PostgreSQL keeps 63 bytes, of ASCII."""
        run("apply", "-", "--managed-by", name, stdin=FILE)
        assert sql("SELECT application FROM fengling.revision WHERE id = 1") == [
            (application(name),)
        ]

    def test_a_secret_drifts_without_being_shown(self, run: Run, sql: Sql) -> None:
        """By its fingerprint."""
        text = "secrets: [{id: s, value: 'env:ONE'}]"
        run("apply", "-", *self.OWNED, stdin=text)
        sql("UPDATE fengling.secret SET value = 'env:TWO'")
        assert self.drift(run, text) == [("secret s", "value", [2])]
