"""What commands make of the answers of a console, and which place they ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, Sql, document
from tests.cli.stub_gateway import StubGateway

ROLLBACK = ("POST", "/api/console/rollback")
REVISIONS = ("GET", "/api/console/revisions")
PLAN = {
    "what": "undo of revision 3",
    "plan": "abc",
    "dropped": [{"author": "ops", "revisions": 1}],
    "changes": [
        {
            "action": "update",
            "kind": "secret",
            "id": "s",
            "fields": {"value": ["(encrypted, 0123)", "env:S"]},
        },
        {
            "action": "update",
            "kind": "service",
            "id": "a",
            "fields": {"connect_timeout": ["250ms", "3s"]},
        },
        {
            "action": "update",
            "kind": "api_key",
            "id": "k",
            "fields": {"expires_at": [None, "2026-11-22T00:00:00Z"]},
        },
    ],
    "left": [{"entity": "api_key k", "code": "not_let_in", "message": "is not let in again"}],
    "warnings": [
        {"code": "tie", "route": "r", "other": None, "message": "is a tie"},
        {"code": "address_refused", "instance": "i", "message": "is sent nothing"},
        {"code": "expired", "kind": "api_key", "id": "k", "message": "has expired"},
    ],
    "public": ["r"],
}


@pytest.fixture
def console(gateway: StubGateway, monkeypatch: pytest.MonkeyPatch) -> StubGateway:
    """Return a stub of a console, which the environment names."""
    monkeypatch.setenv("FENGLING_CONSOLE", gateway.url)
    gateway.answers[ROLLBACK] = (200, PLAN)
    empty = {"items": [], "next": None, "is_shortened": False, "newest": 3}
    gateway.answers[REVISIONS] = (200, empty)
    return gateway


class PlanTests:
    def test_plan_is_shown_as_it_is_told(self, run: Run, console: StubGateway) -> None:
        """What is hidden stays as it is hidden; all remarks name what they are about."""
        result = run("rollback", "3", "--dry-run")
        assert result.exit_code == 0
        lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
        assert lines[0] == "undo of revision 3: takes back 1 revision, by ops"
        for line in (
            "~ secret s value (encrypted, 0123) env:S",
            "~ service a connect_timeout 250ms 3s",
            "~ api_key k expires_at – 2026-11-22T00:00:00Z",
            "! api_key k is not let in again",
            "! route r is a tie",
            "! instance i is sent nothing",
            "! api_key k has expired",
            "! public, for anybody to ask: r",
            "dry run: nothing is written",
        ):
            assert line in lines
        [[method, path, body]] = console.asked
        assert (method, path) == ("POST", f"{ROLLBACK[1]}?dry_run=true")
        assert body == {"of": [3]}

    def test_programs_get_numbers(self, run: Run, console: StubGateway) -> None:
        """As of a database."""
        told = document(run("rollback", "--to", "2", "--dry-run", "-o", "json"))
        fields = {one["id"]: one["fields"] for one in told["changes"]}
        assert fields["a"] == {"connect_timeout": [0.25, 3.0]}
        assert fields["k"] == {"expires_at": [None, 1795305600.0]}
        assert told["left"] == [
            {"code": "not_let_in", "kind": "api_key", "id": "k", "message": "is not let in again"}
        ]
        assert console.asked[0][2] == {"to": 2}

    def test_what_was_shown_is_what_is_written(self, run: Run, console: StubGateway) -> None:
        """With the reason, and what else is wished."""
        console.answers[ROLLBACK] = [(200, PLAN), (200, {**PLAN, "revision": 4, "held": None})]
        result = run("rollback", "3", "-m", "too greedy", "--force")
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "revision 4 (3 changes)")
        assert console.asked[1] == (
            "POST",
            f"{ROLLBACK[1]}?comment=too+greedy&force=true",
            {"of": [3], "plan": "abc"},
        )

    def test_what_is_held_is_status_1(self, run: Run, console: StubGateway) -> None:
        """With why."""
        held = {**PLAN, "revision": 4, "held": "held: removes all"}
        console.answers[ROLLBACK] = [(200, PLAN), (200, held)]
        result = run("rollback", "3")
        assert (result.exit_code, result.stderr) == (1, "fenglingctl: held: removes all\n")

    @pytest.mark.parametrize("status", [409, 412])
    def test_nothing_is_changed_if_somebody_was_faster(
        self, run: Run, console: StubGateway, status: int
    ) -> None:
        """Between the plan and its writing."""
        problem = (status, {"title": "No", "detail": "look again"})
        console.answers[ROLLBACK] = [(200, PLAN), problem]
        result = run("rollback", "3")
        assert (result.exit_code, result.stderr) == (
            2,
            "fenglingctl: nothing is changed: look again\n",
        )

    def test_errors_are_listed_with_their_paths(self, run: Run, console: StubGateway) -> None:
        """Each on a line."""
        problems = [
            {"entity": "route r", "path": "hosts[0]", "code": "bad", "message": "is no host"},
            {"entity": "route q", "path": "", "code": "gone", "message": "refers to nothing"},
        ]
        detail = "route r: hosts[0]: is no host (and 1 more)"
        console.answers[ROLLBACK] = (422, {"detail": detail, "problems": problems})
        result = run("rollback", "3")
        rows = [" ".join(line.split()) for line in result.stdout.splitlines()[2:]]
        assert rows == [
            "rejected route r: hosts[0] is no host",
            "rejected route q refers to nothing",
        ]
        assert result.stderr == (
            "fenglingctl: nothing is changed: it would have errors (see above)\n"
        )

    def test_answer_that_is_lost_leaves_it_open(self, run: Run, console: StubGateway) -> None:
        """To say that nothing was written would be a guess."""
        console.answers[ROLLBACK] = [(200, PLAN), (0, None)]
        result = run("rollback", "3")
        assert result.exit_code == 2
        assert "they are made or not, which `fenglingctl history` tells" in result.stderr

    @pytest.mark.parametrize("told", [{}, [], {**PLAN, "left": [{}]}, {**PLAN, "changes": None}])
    def test_another_version_is_told(self, run: Run, console: StubGateway, told: Any) -> None:
        """Or whoever answers there."""
        console.answers[ROLLBACK] = (200, told)
        result = run("rollback", "3")
        assert (result.exit_code, "not as a console of this version does" in result.stderr) == (
            2,
            True,
        )


def test_problems_of_a_console_are_named_once(run: Run, console: StubGateway) -> None:
    """Its detail is the first of them already."""
    problems = [
        {"entity": "route r", "path": "path", "code": "bad", "message": "is no template"},
        {"entity": "route q", "path": "path", "code": "bad", "message": "is none either"},
    ]
    console.answers["PUT", "/api/console/switches/route/r"] = (
        422,
        {
            "title": "It has errors",
            "detail": "route r: path: is no template (and 1 more)",
            "problems": problems,
        },
    )
    assert run("switch", "off", "route/r").stderr == (
        f"fenglingctl: {console.url}: It has errors: route r: path: is no template; "
        "route q: path: is none either\n"
    )


@pytest.mark.parametrize("told", [{}, [], {"items": [{}], "next": None, "is_shortened": False}])
def test_history_of_another_version_is_told(run: Run, console: StubGateway, told: Any) -> None:
    """In a line."""
    console.answers[REVISIONS] = (200, told)
    result = run("history")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "not as a console of this version does" in result.stderr


def test_author_to_leave_out_is_the_consoles_business(run: Run, console: StubGateway) -> None:
    """Or pages would have holes."""
    console.answers[REVISIONS] = (
        200,
        {"items": [], "next": None, "is_shortened": False, "newest": 9},
    )
    assert run("history", "--without", "kubernetes").exit_code == 0
    assert "without=kubernetes" in console.asked[0][1]


def test_log_that_was_shortened_is_told(run: Run, console: StubGateway) -> None:
    """From where on it tells all."""
    empty = {"items": [], "next": None, "is_shortened": True, "newest": 9}
    console.answers[REVISIONS] = (200, empty)
    console.answers["GET", "/api/console/retention"] = (200, {"known_from": 4, "pruned_to": 6})
    assert "from revision 4 on, of health from 6" in run("history").stderr
    console.answers["GET", "/api/console/routes/r/history"] = (200, empty)
    gone = run("history", "route/r", "--at", "3")
    assert (gone.exit_code, "no longer known" in gone.stderr) == (2, True)
    none = run("history", "route/r", "--at", "4")
    assert (none.exit_code, "there was no route r" in none.stderr) == (1, True)


class PlaceTests:
    """Which place is asked, of several that are named."""

    def test_database_is_asked_before_a_console(
        self, run: Run, console: StubGateway, sql: Sql
    ) -> None:
        """Of the environment; on the command line a console is."""
        assert "an empty configuration" in run("history").stdout
        assert console.asked == []
        assert run("history", "--console", console.url).stdout == "no such revisions\n"
        assert len(console.asked) == 1

    def test_environment_is_asked_before_a_context(
        self, run: Run, console: StubGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A console of the environment, too; and a console of a context, where there is nothing else."""
        nowhere = "http://127.0.0.1:1"
        run("context", "set", "x", "--console", nowhere)
        assert run("history").exit_code == 0
        monkeypatch.delenv("FENGLING_CONSOLE")
        assert nowhere in run("history").stderr
        run("context", "set", "x", "--database", "postgresql://127.0.0.1:1/x?connect_timeout=2")
        assert "the database can't be reached" in run("history").stderr

    def test_nothing_named_is_told(self, run: Run) -> None:
        """With how to name it."""
        for command in (("history",), ("events",), ("rollback", "3")):
            result = run(*command)
            assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
            assert "--database URL or --console URL" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--database", "postgresql://x/x", "--console", "http://x:1"),
            ("--database", "postgresql://x/x", "--token-file", "x"),
            ("--console", "x:1"),
        ],
    )
    def test_contradictions_are_status_2(self, run: Run, arguments: tuple[str, ...]) -> None:
        """And nothing is asked."""
        result = run("history", *arguments)
        assert (
            result.exit_code,
            "--console" in result.stderr or "http://host" in result.stderr,
        ) == (
            2,
            True,
        )

    def test_token_may_be_in_a_file(
        self, run: Run, console: StubGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And is needed."""
        path = tmp_path / "token"
        path.write_text("xyz\n")
        assert run("history", "--token-file", str(path)).exit_code == 0
        assert console.tokens == ["Bearer xyz"]
        monkeypatch.delenv("FENGLING_TOKEN")
        assert "no token" in run("history").stderr


def test_contexts_are_listed_with_their_consoles(run: Run) -> None:
    """As with what else they name."""
    run("context", "set", "x", "--console", "http://c:8002")
    assert run("context", "list").stdout.splitlines()[-1].split()[:4] == [
        *("*", "x", "–", "http://c:8002")
    ]


EVENTS = ("GET", "/api/console/events")


def test_following_says_once_that_the_database_is_away(run: Run, console: StubGateway) -> None:
    """However often it tries; it ends with the token."""
    newest = {"items": [], "next": None, "is_shortened": False, "newest": 3}
    console.answers[REVISIONS] = (200, newest)
    away = [(503, {"detail": "the database is away", "request_id": f"r{n}"}) for n in range(3)]
    console.answers[EVENTS] = [*away, (401, {"detail": "it has expired"})]
    result = run("events")
    assert result.exit_code == 2
    away_once, refused = result.stderr.splitlines()[1:]
    assert away_once == f"{console.url}: the database is away; trying again"
    assert refused.startswith(
        f"fenglingctl: {console.url} does not accept the token: it has expired"
    )
