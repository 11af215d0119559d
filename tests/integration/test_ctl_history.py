"""``fenglingctl history``, ``rollback`` and ``events`` over a real console."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.console import ConsoleProcess, Fleet, a_token, fleet_with_database
from tests.integration.ctl import Ctl

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def fleet(
    postgres: PostgresServer,
    _migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("ctl")
    with fleet_with_database(postgres, _migrated_template, directory) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def console(fleet: Fleet) -> ConsoleProcess:
    """Return a console over a history of seven revisions, and of health."""
    sql = fleet.sql
    sql.run("INSERT INTO fengling.service (id) VALUES ('hello'), ('v2')")
    sql.run(
        "INSERT INTO fengling.route (id, path, service_id) VALUES ('orders', '/orders', 'hello')"
    )
    sql.run(
        "BEGIN; SELECT fengling.describe('canary 10 %', author => 'ops');"
        "UPDATE fengling.route SET service_id = NULL,"
        """ split = '{"hello": 90, "v2": 10}'; COMMIT"""
    )
    sql.run("INSERT INTO fengling.secret (id, value) VALUES ('s', 'env:CANARY')")
    sql.run("UPDATE fengling.service SET connect_timeout = '250 ms' WHERE id = 'hello'")
    sql.run(
        "INSERT INTO fengling.instance (id, service_id, address)"
        " VALUES ('i', 'hello', 'http://h:1')"
    )
    sql.run("INSERT INTO fengling.instance_health VALUES ('i', 'unhealthy', 'refused')")
    return fleet.console()


@pytest.fixture(scope="module")
def over_console(console: ConsoleProcess) -> Ctl:
    return Ctl({"FENGLING_CONSOLE": console.address, "FENGLING_TOKEN": console.token})


@pytest.fixture(scope="module")
def in_database(fleet: Fleet, console: ConsoleProcess) -> Ctl:
    return Ctl({"FENGLING_DATABASE": fleet.sql.dsn})


ASKED = (
    (),
    ("-n", "2"),
    ("-n", "2", "--before", "4"),
    ("--author", "ops"),
    ("--author", "nobody"),
    ("--grep", "CANARY"),
    ("--since", "2026-01-01", "--until", "2126-01-01"),
    ("--kind", "all"),
    ("routes",),
    ("3",),
    ("4",),
    ("0", "7"),
    ("7", "0"),
    ("3", "3"),
    ("route/orders",),
    ("route/orders", "-n", "1"),
    ("route/nobody",),
    ("secret/s",),
    ("instance_health/i",),
    ("route/orders", "--at", "2"),
    ("route/orders", "--at", "7"),
    ("route/orders", "--at", "1"),
    ("service/hello", "--at", "4"),
)


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
@pytest.mark.parametrize("form", ["table", "json"])
def test_console_tells_what_the_database_does(
    over_console: Ctl, in_database: Ctl, words: tuple[str, ...], form: str
) -> None:
    """To the letter, notes and status included."""
    told = in_database("history", *words, "-o", form)
    assert told.status in (0, 1), told
    assert over_console("history", *words, "-o", form) == told


def test_what_is_not_known_is_one_line(over_console: Ctl, console: ConsoleProcess) -> None:
    """Status 2: what never was, and what the console can't be asked."""
    for words, said in {
        ("99",): "there is no revision 99; the newest is 7",
        ("1", "99"): "there is no revision 99; the newest is 7",
        ("route/orders", "--at", "99"): "there is no revision 99; the newest is 7",
        ("instance_health/i", "--at", "7"): "ask the database",
        ("--author", "x" * 201): "author must be text of at most 200 characters",
    }.items():
        told = over_console("history", *words)
        assert (told.status, told.out, told.err.count("\n")) == (2, "", 1), told
        assert said in told.err
    never = over_console("history", "99")
    assert never.err.startswith(f"fenglingctl: {console.address}: ")


def test_who_may_not_ask_is_told_why(over_console: Ctl, console: ConsoleProcess) -> None:
    """A token of another gateway, of some tenants, or of somebody who only looks."""

    def told(token: str, *words: str) -> Any:
        variables = {**over_console.variables, "FENGLING_TOKEN": token}
        return Ctl(variables)(*words)

    foreign = told("nonsense", "history")
    assert (foreign.status, "does not accept the token" in foreign.err) == (2, True), foreign
    limited = told(a_token("gateway:admin", tenants=("acme",)), "history")
    assert (limited.status, "limited to tenants" in limited.err) == (2, True), limited
    viewer = a_token("gateway:read")
    assert told(viewer, "history").status == 0
    refused = told(viewer, "rollback", "5")
    assert (refused.status, "this needs the scope gateway:admin" in refused.err) == (2, True)
    for words in (("events",), ("events", "-n", "1")):
        deaf = told(a_token("gateway:read", tenants=("acme",)), *words)
        assert (deaf.status, "limited to tenants" in deaf.err) == (2, True), deaf


@pytest.fixture
def written(fleet: Fleet, console: ConsoleProcess) -> Iterator[int]:
    """Write three routes (first), and change one (last, returned); they are deleted afterwards."""
    sql = fleet.sql
    sql.run(
        "INSERT INTO fengling.route (id, path, service_id)"
        " SELECT 'r' || i, '/r' || i, 'hello' FROM generate_series(1, 3) AS i"
    )
    sql.run("UPDATE fengling.route SET priority = 7 WHERE id = 'r1'")
    yield newest(fleet)
    sql.run(
        "BEGIN; SET LOCAL fengling.force = 'on';"
        "DELETE FROM fengling.route WHERE id <> 'orders'; COMMIT"
    )


def newest(fleet: Fleet) -> int:
    return fleet.sql.revision


PLANS = (("{last}",), ("{first}", "{last}"), ("--to", "{first}"), ("--to", "4"))


@pytest.mark.parametrize("words", PLANS, ids=" ".join)
def test_plan_is_the_same(
    over_console: Ctl, in_database: Ctl, fleet: Fleet, written: int, words: tuple[str, ...]
) -> None:
    """As a table, and as JSON; nothing is written."""
    named = [word.format(first=written - 1, last=written) for word in words]
    for form in ("table", "json"):
        told = in_database("rollback", *named, "--dry-run", "-o", form)
        assert told.status == 0, told
        assert over_console("rollback", *named, "--dry-run", "-o", form) == told
    assert newest(fleet) == written


def test_console_goes_back(over_console: Ctl, fleet: Fleet, written: int) -> None:
    """As whoever the token is of, with a reason."""
    told = over_console("rollback", str(written), "-m", "too greedy")
    assert told.status == 0, told
    assert told.out.splitlines()[-1] == f"revision {written + 1} (1 change)"
    said = "SELECT concat_ws(', ', author, author_verified, comment) FROM fengling.revision"
    made = fleet.sql.value(f"{said} WHERE id = %s", written + 1)
    assert made == f"ada, t, undo of revision {written}: too greedy"
    assert fleet.sql.value("SELECT priority FROM fengling.route WHERE id = 'r1'") == 0
    both = over_console("rollback", str(written), str(written + 1), "-o", "json")
    assert (both.status, both.json["changes"], "revision" in both.json) == (0, [], False), both
    nothing = over_console("rollback", "--to", str(newest(fleet)))
    assert (nothing.status, nothing.out) == (0, "nothing to change\n")


def test_conflict_is_named(over_console: Ctl, fleet: Fleet, written: int) -> None:
    """With what to do."""
    fleet.sql.run("UPDATE fengling.route SET priority = 8 WHERE id = 'r1'")
    told = over_console("rollback", str(written))
    assert told.status == 2
    assert told.err == (
        f"fenglingctl: nothing is changed: changed again since: route r1 (in revision {written + 1})."
        " Undo those, too, or go back with --to\n"
    )


def test_what_would_be_wrong_is_listed(
    over_console: Ctl, in_database: Ctl, fleet: Fleet, written: int
) -> None:
    """As of a database."""
    fleet.sql.run("INSERT INTO fengling.service (id) VALUES ('new')")
    made = newest(fleet)
    fleet.sql.run("UPDATE fengling.route SET service_id = 'new' WHERE id = 'r1'")
    try:
        told = over_console("rollback", str(made))
        assert told.status == 2
        [line] = [one for one in told.out.splitlines() if one.startswith("rejected")]
        assert "route r1" in line
        assert line in in_database("rollback", str(made)).out.splitlines()
        assert told.err == "fenglingctl: nothing is changed: it would have errors (see above)\n"
    finally:
        fleet.sql.run("UPDATE fengling.route SET service_id = 'hello' WHERE id = 'r1'")
        fleet.sql.run("DELETE FROM fengling.service WHERE id = 'new'")


def test_what_was_not_shown_is_not_written(
    console: ConsoleProcess, fleet: Fleet, written: int
) -> None:
    """412 where the plan would be another one by now; with the plan as it is, it is."""
    body = {"of": [written]}
    seen = console.post("rollback?dry_run=true", body).json["plan"]
    fleet.sql.run("UPDATE fengling.route SET priority = 1 WHERE id = 'r2'")
    assert console.post("rollback?dry_run=true", body).json["plan"] == seen
    back = {"to": written}
    other = console.post("rollback?dry_run=true", back).json["plan"]
    fleet.sql.run("UPDATE fengling.route SET priority = 2 WHERE id = 'r2'")
    refused = console.post("rollback", {**back, "plan": other})
    assert (refused.status, refused.json["code"]) == (412, "precondition_failed")
    assert newest(fleet) == written + 2
    assert console.post("rollback", {**body, "plan": seen}).status == 200


@pytest.mark.parametrize(
    "body", [{}, {"to": 1, "of": [1]}, {"of": []}, {"of": 1}, {"of": ["1"]}, {"of": [1] * 101}]
)
def test_odd_ways_back_are_refused(console: ConsoleProcess, body: Any) -> None:
    """422."""
    assert console.post("rollback", body).status == 422


def test_held_rollback_is_status_1(over_console: Ctl, fleet: Fleet, written: int) -> None:
    """Unless it is forced."""
    away = ("rollback", str(written - 1), str(written))
    held = over_console(*away)
    assert (held.status, "removes 3 of 4 routes" in held.err) == (1, True), held
    assert over_console("rollback", str(newest(fleet))).status == 0
    before = str(written - 2)
    forced = over_console("rollback", "--to", before, "--force")
    assert (forced.status, forced.err) == (0, ""), forced


def test_author_is_whose_token_it_is(over_console: Ctl) -> None:
    """Nobody can say otherwise."""
    told = over_console("rollback", "5", "--author", "eve")
    assert (told.status, "not --author" in told.err) == (2, True)


def test_events_are_told_as_they_happen(over_console: Ctl, fleet: Fleet) -> None:
    """A line each, as of the database; also what is held, and then confirmed."""
    sql = fleet.sql
    began = newest(fleet)
    with over_console.running("events") as told:
        assert told.stderr is not None
        assert told.stdout is not None
        assert told.stderr.readline() == f"following from revision {began} on\n"
        sql.run(
            "BEGIN; SELECT fengling.describe('the first', author => 'eve');"
            "UPDATE fengling.service SET connect_timeout = '1 s', name = 'x' WHERE id = 'v2'; COMMIT"
        )
        line = told.stdout.readline()
        assert f"revision {began + 1} · eve (as " in line
        assert line.endswith('~ service v2: name "" → x, connect_timeout 3s → 1s · the first\n')
        sql.run("UPDATE fengling.instance_health SET health = 'healthy', reason = ''")
        assert "~ instance_health i: unhealthy → healthy" in told.stdout.readline()
        sql.run("DELETE FROM fengling.route")
        assert f"revision {began + 3} held" in told.stdout.readline()
        sql.run("SELECT fengling.confirm(%s, 'jane')", began + 3)
        assert told.stdout.readline() == f"revision {began + 3} is confirmed by jane\n"
        told.send_signal(signal.SIGINT)
        assert told.wait(timeout=30) == 0


def test_nothing_is_missed_while_the_console_is_away(fleet: Fleet, over_console: Ctl) -> None:
    """It says so once, and goes on where it was."""
    console = fleet.console()
    ctl = Ctl({**over_console.variables, "FENGLING_CONSOLE": console.address})
    began = newest(fleet)
    with ctl.running("events", "-o", "json", "--count", "3") as told:
        assert told.stderr is not None
        assert told.stdout is not None
        told.stderr.readline()
        fleet.sql.run("UPDATE fengling.service SET name = 'a' WHERE id = 'v2'")
        assert json.loads(told.stdout.readline())["id"] == began + 1
        console.stop()
        fleet.sql.run("UPDATE fengling.service SET name = 'b' WHERE id = 'v2'")
        away = told.stderr.readline()
        assert away.startswith(f"the console at {console.address} is away (")
        assert away.endswith("; trying again\n")
        console.start()
        console.wait_ready()
        assert json.loads(told.stdout.readline())["id"] == began + 2
        fleet.sql.run("UPDATE fengling.service SET name = 'c' WHERE id = 'v2'")
        assert json.loads(told.stdout.readline())["id"] == began + 3
        assert told.wait(timeout=30) == 0


def test_programs_are_told_the_same_events(over_console: Ctl, in_database: Ctl) -> None:
    """Object for object."""
    words = ("events", "-o", "json", "-n", "5", "--count", "5")
    assert over_console(*words) == in_database(*words)


def test_console_that_is_away_is_one_line(over_console: Ctl) -> None:
    """Of every command, at first, with how to name another; status 2."""
    nowhere = Ctl({**over_console.variables, "FENGLING_CONSOLE": "http://127.0.0.1:1"})
    for words in (("history",), ("rollback", "5"), ("events",)):
        told = nowhere(*words)
        assert (told.status, told.out) == (2, "")
        assert told.err == (
            "fenglingctl: no console answers at http://127.0.0.1:1 (Connection refused); "
            "name one with --console URL\n"
        )


def test_stream_that_is_not_taken_any_more_ends(fleet: Fleet, over_console: Ctl) -> None:
    """With the credential: nobody waits an hour for what can't come."""
    token = a_token("gateway:read", lifetime_seconds=5)
    ctl = Ctl({**over_console.variables, "FENGLING_TOKEN": token})
    with ctl.running("events") as told:
        try:
            _, said = told.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            pytest.fail("it listens on")
    assert (told.returncode, "does not accept the token" in said) == (2, True), said
