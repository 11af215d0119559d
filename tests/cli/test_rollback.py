"""``fenglingctl rollback``."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import pytest

from tests.cli.conftest import Run, Sql, document


@pytest.fixture
def _written(sql: Sql) -> None:
    """Write a service (1), three routes (2), and change one of them (3) and the service (4)."""
    sql("INSERT INTO fengling.service (id) VALUES ('s')")
    sql(
        "INSERT INTO fengling.route (id, path, service_id)"
        " SELECT 'r' || i, '/r' || i, 's' FROM generate_series(1, 3) AS i"
    )
    sql("UPDATE fengling.route SET priority = 7 WHERE id = 'r1'")
    sql("UPDATE fengling.service SET connect_timeout = '250 ms'")


@pytest.mark.usefixtures("_written")
class TestRollback:
    def test_one_revision_is_undone(self, run: Run, sql: Sql) -> None:
        """As a new one, with a comment that says so, by whoever runs it."""
        result = run("rollback", "3", "-m", "too greedy", "--author", "ops")
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert lines[0] == "undo of revision 3: takes back 1 revision, by postgres"
        assert lines[3].split() == ["~", "route", "r1", "priority", "7", "0"]
        assert lines[-1] == "revision 5 (1 change)"
        assert sql("SELECT author, comment FROM fengling.revision WHERE id = 5") == [
            ("ops", "undo of revision 3: too greedy")
        ]
        assert sql("SELECT priority FROM fengling.route WHERE id = 'r1'") == [(0,)]

    def test_everything_is_as_it_was(self, run: Run, sql: Sql) -> None:
        """And back again."""
        assert run("rollback", "--to", "2").exit_code == 0
        query = "SELECT connect_timeout::text, priority FROM fengling.service, fengling.route"
        assert set(sql(query)) == {("00:00:03", 0)}
        back = run("rollback", "5", "-o", "json")
        assert document(back)["revision"] == 6
        assert set(sql(query)) == {("00:00:00.25", 0), ("00:00:00.25", 7)}

    def test_dry_run_writes_nothing(self, run: Run, sql: Sql) -> None:
        """It shows the same plan, as people write it."""
        result = run("rollback", "--to", "2", "--dry-run")
        lines = [line.split() for line in result.stdout.splitlines()]
        assert ["~", "service", "s", "connect_timeout", "250ms", "3s"] in lines
        assert lines[-1] == ["dry", "run:", "nothing", "is", "written"]
        told = document(run("rollback", "--to", "2", "--dry-run", "-o", "json"))
        assert ("revision" in told, len(told["changes"])) == (False, 2)
        assert told["dropped"] == [{"author": "postgres", "revisions": 2}]
        assert sql("SELECT max(id) FROM fengling.revision") == [(4,)]
        assert run("rollback", "--to", "4").stdout == "nothing to change\n"

    def test_what_changed_since_is_named(self, run: Run, sql: Sql) -> None:
        """Alone it is a conflict; with the later one it is none."""
        sql("UPDATE fengling.route SET priority = 8 WHERE id = 'r1'")
        refused = run("rollback", "3")
        assert (refused.exit_code, "route r1 (in revision 5)" in refused.stderr) == (2, True)
        assert run("rollback", "3", "5").exit_code == 0

    def test_what_does_not_come_back_is_named(self, run: Run, sql: Sql) -> None:
        """The rest does."""
        sql("INSERT INTO fengling.client (id) VALUES ('c')")
        sql(
            "INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('k', 'c', %s)",
            "ab" * 32,
        )
        sql("UPDATE fengling.api_key SET enabled = false, name = 'leaked'")
        result = run("rollback", "7")
        assert "! api_key k is not let in again\n" in result.stdout
        assert sql("SELECT enabled, name FROM fengling.api_key") == [(False, "")]
        told = document(run("rollback", "--to", "6", "--dry-run", "-o", "json"))
        assert [(one["code"], one["id"]) for one in told["left"]] == [("not_let_in", "k")]

    def test_what_would_be_wrong_is_listed(self, run: Run, sql: Sql) -> None:
        """And nothing is changed."""
        sql("INSERT INTO fengling.service (id) VALUES ('new')")
        sql("UPDATE fengling.route SET service_id = 'new' WHERE id = 'r1'")
        result = run("rollback", "5")
        assert result.exit_code == 2
        assert "route r1" in result.stdout
        assert "nothing is changed" in result.stderr
        assert sql("SELECT max(id) FROM fengling.revision") == [(6,)]

    def test_a_held_revision_is_status_1(self, run: Run, sql: Sql) -> None:
        """Unless it is forced."""
        held = run("rollback", "--to", "1")
        assert (held.exit_code, "removes 3 of 3 routes" in held.stderr) == (1, True)
        assert run("rollback", "5").exit_code == 0
        assert run("rollback", "--to", "1", "--force").exit_code == 0

    @pytest.mark.parametrize(
        "arguments", [(), ("3", "--to", "2"), ("--to", "9"), ("9",), ("0",), ("-1",), ("x",)]
    )
    def test_what_can_not_be_is_status_2(self, run: Run, arguments: tuple[str, ...]) -> None:
        """With a line that says why."""
        result = run("rollback", *arguments)
        assert (result.exit_code, bool(result.stderr)) == (2, True)


@pytest.fixture
def in_terminal(dsn: str) -> Callable[..., tuple[int, str]]:
    """Return a function that runs a command in a terminal, and answers with a line."""

    def run_it(answer: str, *arguments: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "fengling_gateway.cli.main", *arguments]
        environment: Any = {**os.environ, "FENGLING_DATABASE": dsn, "COLUMNS": "100"}
        with Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
            os.close(theirs)
            os.write(ours, answer.encode())
            said = b""
            try:
                while chunk := os.read(ours, 4096):
                    said += chunk
            except OSError:
                pass  # the other end is closed
            os.close(ours)
        return process.returncode, said.decode()

    return run_it


@pytest.mark.usefixtures("_written")
def test_in_a_terminal_it_asks(in_terminal: Callable[..., tuple[int, str]], sql: Sql) -> None:
    """After the plan; no is status 1, and with --yes there is no question."""
    status, said = in_terminal("n\n", "rollback", "3")
    assert (status, "Write this change? [y/N]" in said) == (1, True), said
    assert said.index("priority") < said.index("Write this change?")
    assert sql("SELECT max(id) FROM fengling.revision") == [(4,)]
    assert in_terminal("y\n", "rollback", "3")[0] == 0
    status, said = in_terminal("", "rollback", "--yes", "5")
    assert (status, "Write" in said) == (0, False), said
    assert sql("SELECT max(id) FROM fengling.revision") == [(6,)]
