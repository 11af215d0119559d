"""``fenglingctl history``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fengling_gateway.cli.history import Asked, read_asked, read_time
from tests.cli.conftest import Run, Sql, document

WRITTEN = (
    "INSERT INTO fengling.service (id) VALUES ('hello'), ('v2')",
    "INSERT INTO fengling.route (id, path, service_id) VALUES ('orders', '/orders', 'hello')",
    "SELECT fengling.describe('canary 10 %%', author => 'ops')",
    'UPDATE fengling.route SET service_id = NULL, split = \'{"hello": 90, "v2": 10}\'',
)


@pytest.fixture
def _written(sql: Sql) -> None:
    """Write two services (1), a route (2), and say of the next that it is by ops (3)."""
    sql("; ".join(WRITTEN[:1]))
    sql(WRITTEN[1])
    sql("BEGIN; " + "; ".join(WRITTEN[2:]) + "; COMMIT")


def table(text: str) -> list[list[str]]:
    """Return the cells of a table, as far as they are apart."""
    return [[cell for cell in line.split("  ") if cell] for line in text.splitlines()]


@pytest.mark.usefixtures("_written")
class TestHistory:
    def test_revisions_are_listed(self, run: Run) -> None:
        """Who, what and why, newest first; and how to get at older ones."""
        result = run("history")
        lines = result.stdout.splitlines()
        assert result.exit_code == 0
        assert "ops (as postgres)" in lines[2]
        assert "~ route orders" in lines[2]
        assert "canary 10 %" in lines[2]
        assert "+ service hello, + service v2" in lines[4]
        first = run("history", "-n", "1")
        assert "--before 3" in first.stderr
        assert run("history", "-n", "1", "--before", "3").stdout.splitlines()[2].startswith("2 ")

    def test_filters_choose(self, run: Run) -> None:
        """Each for programs, too."""

        def ids(*arguments: str) -> list[int]:
            return [
                one["id"] for one in document(run("history", *arguments, "-o", "json"))["items"]
            ]

        assert ids("--author", "ops") == [3]
        assert ids("--without", "ops") == [2, 1, 0]
        assert ids("--grep", "CANARY") == [3]
        assert ids("--since", "1h") == [3, 2, 1, 0]
        assert ids("--until", "2026-01-01") == []
        assert ids("routes") == [3, 2]
        assert ids("service") == [1]
        assert ids("--kind", "health") == []
        assert run("history", "--author", "nobody").stdout == "no such revisions\n"

    def test_one_revision_is_shown_field_by_field(self, run: Run) -> None:
        """Before and after; what was none is a dash."""
        result = run("history", "3")
        assert ["~", "route orders", "service_id", "hello", "–"] in [
            [cell.strip() for cell in row] for row in table(result.stdout)
        ]
        assert "split" in result.stdout
        assert "canary 10 %" in result.stdout
        told = document(run("history", "3", "-o", "json"))
        [change] = told["changes"]
        assert change["fields"]["split"] == [None, {"hello": 90, "v2": 10}]
        assert (told["author"], told["change_count"]) == ("ops", 1)

    def test_two_revisions_are_compared(self, run: Run) -> None:
        """Either way round."""
        there = document(run("history", "1", "3", "-o", "json"))
        assert [(one["action"], one["id"]) for one in there["changes"]] == [("create", "orders")]
        back = run("history", "3", "1")
        assert "- " in back.stdout
        assert run("history", "3", "3").stdout == "nothing lies between them\n"

    def test_an_entity_has_its_history(self, run: Run) -> None:
        """By kind and id, together or apart, in the singular or as sections are called."""
        for words in (["route/orders"], ["route", "orders"], ["routes/orders"]):
            result = run("history", *words)
            lines = result.stdout.splitlines()
            assert (lines[2][:2], "service_id: hello → –" in lines[2]) == ("3 ", True)
            assert "split: – → {" in lines[3]
            assert (lines[4][:2], "made" in lines[4]) == ("2 ", True)
        [newest, _] = document(run("history", "route/orders", "-o", "json"))["items"]
        assert (newest["id"], newest["change"]["action"]) == (3, "update")
        unknown = run("history", "route/nobody")
        assert (unknown.exit_code, unknown.stdout) == (1, "the log has never seen it\n")

    def test_what_it_was_then_is_shown(self, run: Run) -> None:
        """And that there was none."""
        then = run("history", "route/orders", "--at", "2", "-o", "json")
        assert document(then)["service_id"] == "hello"
        assert "/orders" in run("history", "route/orders", "--at", "2").stdout
        before = run("history", "route/orders", "--at", "1")
        assert (before.exit_code, before.stdout) == (1, "")
        assert "at revision 1 there was no route orders" in before.stderr

    def test_what_is_not_known_is_one_line(self, run: Run, sql: Sql) -> None:
        """Status 2: a number that never was, and what the log has no more."""
        never = run("history", "9")
        assert (never.exit_code, never.stderr) == (
            2,
            "fenglingctl: there is no revision 9; the newest is 3\n",
        )
        sql("UPDATE fengling.service SET name = 'x'")
        sql("UPDATE fengling.service SET name = 'y'")
        sql("UPDATE fengling.revision SET committed_at = now() - interval '2 years' WHERE id < 5")
        sql("SELECT fengling.prune()")
        for words in (["1"], ["1", "5"], ["service/hello", "--at", "1"]):
            gone = run("history", *words)
            assert (gone.exit_code, "no longer known" in gone.stderr) == (2, True), gone.output
        assert "from revision 4 on" in run("history").stderr
        assert "no longer known" in run("history", "service/hello").stderr

    def test_secrets_and_terminals_are_safe(self, run: Run, sql: Sql) -> None:
        """Neither a value nor what a terminal would obey is printed."""
        sql("INSERT INTO fengling.secret (id, value) VALUES ('s', 'env:CANARY')")
        sql("UPDATE fengling.service SET name = E'\\x1b[31m' WHERE id = 'v2'")
        for words in (["4"], ["5"], ["3", "5"], ["secret/s"], ["service/v2"]):
            for form in ("table", "json", "yaml"):
                told = run("history", *words, "-o", form).output
                assert "CANARY" not in told
                assert "\x1b" not in told


@pytest.mark.parametrize(
    "words",
    [["rute/orders"], ["1", "2", "3"], ["route", "a", "b"], ["route/"], ["1", "route"], ["-o"]],
)
def test_other_words_are_a_mistake(run: Run, dsn: str, words: list[str]) -> None:
    """Of who asks: status 2, and what is meant where that can be guessed."""
    result = run("history", *words)
    assert result.exit_code == 2
    assert ("route" in result.stderr) or words != ["rute/orders"]


def test_at_needs_an_entity(run: Run, dsn: str) -> None:
    """A kind is none."""
    assert run("history", "routes", "--at", "1").exit_code == 2


def test_times_are_read_in_all_ways() -> None:
    """In UTC, unless they say otherwise."""
    assert read_time("90m", "--since", 10_000.0) == 4_600.0
    day = 86400.0
    for text in (
        "1970-01-02",
        "1970-01-02T00:00",
        "1970-01-02T00:00:00Z",
        "1970-01-02T01:00+01:00",
    ):
        assert read_time(text, "--since", 0.0) == day
    with pytest.raises(Exception, match="is a time like"):
        read_time("yesterday", "--since", 0.0)


def test_ids_may_have_any_form() -> None:
    """Also that of a number."""
    assert read_asked(("route/12",)) == Asked((), "route", "12")
    assert read_asked(("route", "12")) == Asked((), "route", "12")
    assert read_asked(("12",)) == Asked((12,))


def test_help_has_every_form(run: Run) -> None:
    """A line each."""
    told: Any = run("history", "--help").stdout
    assert "history 400 412          what lies between two" in told
    assert json.dumps(told).count("\\b") == 0
