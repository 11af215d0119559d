"""``fenglingctl events``."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from subprocess import PIPE, Popen
from typing import Any

import pytest

from fengling_gateway.cli import following
from fengling_gateway.cli.events import line
from fengling_gateway.cli.following import Follower, Happened
from tests.cli.conftest import Sql


class Followed:
    """The command in a process of its own."""

    def __init__(self, dsn: str, *arguments: str) -> None:
        environment = {**os.environ, "FENGLING_DATABASE": dsn}
        command = [sys.executable, "-m", "fengling_gateway.cli.main", "events", *arguments]
        self.process = Popen(command, stdout=PIPE, stderr=PIPE, env=environment, text=True)

    def said(self) -> str:
        """Return the next line on stderr."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def next(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def document(self) -> Any:
        return json.loads(self.next())

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def follow(dsn: str) -> Iterator[Callable[..., Followed]]:
    running: list[Followed] = []

    def begin(*arguments: str) -> Followed:
        running.append(Followed(dsn, *arguments))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate(timeout=20)


def test_changes_are_told_as_they_are_made(follow: Callable[..., Followed], sql: Sql) -> None:
    """A line each: who, what, why; also of health, what is held, confirmed and asked for."""
    sql("INSERT INTO fengling.service (id) VALUES ('s')")
    followed = follow()
    assert followed.said() == "following from revision 1 on\n"
    sql(
        "BEGIN; SELECT fengling.describe('the first', author => 'ops');"
        "INSERT INTO fengling.route (id, service_id) VALUES ('r', 's'); COMMIT"
    )
    told = followed.next()
    assert "revision 2 · ops (as postgres)" in told
    assert told.endswith(" · + route r · the first\n")
    sql("UPDATE fengling.service SET connect_timeout = '1 s', name = 'x'")
    assert followed.next().endswith(
        "~ service s: name  → x, connect_timeout 3s → 1s\n".replace("  ", ' "" ')
    )
    sql("INSERT INTO fengling.instance VALUES ('i', 's', NULL, 'http://h:1')")
    sql("INSERT INTO fengling.instance_health VALUES ('i', 'unhealthy', 'refused')")
    assert "+ instance i" in followed.next()
    assert "+ instance_health i: – → unhealthy (refused)" in followed.next()
    sql("DELETE FROM fengling.route")
    assert "revision 6 held" in followed.next()
    sql("SELECT fengling.confirm(6, 'jane')")
    assert followed.next() == "revision 6 is confirmed by jane\n"
    sql("SELECT fengling.reload('please')")
    assert followed.next() == "gateways are asked to look by postgres · please\n"
    assert followed.end() == 0


def test_programs_read_objects(follow: Callable[..., Followed], sql: Sql) -> None:
    """One a line; also of what was before, and of one kind."""
    sql("INSERT INTO fengling.service (id) VALUES ('s'), ('t')")
    sql("INSERT INTO fengling.instance VALUES ('i', 's', NULL, 'http://h:1')")
    sql("INSERT INTO fengling.instance_health VALUES ('i', 'unhealthy')")
    followed = follow("-o", "json", "-n", "3", "--kind", "config", "--count", "3")
    first = followed.document()
    assert (first["event"], first["id"], first["change_count"]) == ("revision", 1, 2)
    assert {one["id"] for one in first["changes"]} == {"s", "t"}
    assert followed.document()["id"] == 2
    sql("UPDATE fengling.service SET name = E'\\x1b[31m'")
    last = followed.next()
    assert ("\x1b" in last, json.loads(last)["id"]) == (False, 4)
    assert followed.process.wait(timeout=20) == 0


def test_nothing_is_missed_when_the_connection_breaks(
    follow: Callable[..., Followed], sql: Sql
) -> None:
    """It is made again, and goes on where it was."""
    followed = follow("-o", "json")
    followed.said()
    sql("INSERT INTO fengling.service (id) VALUES ('s')")
    assert followed.document()["id"] == 1
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    assert sql(f"{cut} WHERE application_name = 'fenglingctl' AND datname = current_database()")[0][
        0
    ]
    sql("UPDATE fengling.service SET name = 'x'")
    assert "broke" in followed.said()
    assert followed.document()["id"] == 2
    sql("UPDATE fengling.service SET name = 'y'")
    assert followed.document()["id"] == 3


def test_without_notifications_it_looks(
    dsn: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler lets none through."""
    monkeypatch.setattr(following, "CHANNEL", "another")
    follower = Follower(dsn, lost=pytest.fail, poll_seconds=0.01)
    assert follower.begin(0) == 0
    happened = follower.follow()
    for number in (1, 2):
        sql(f"INSERT INTO fengling.service (id) VALUES ('s{number}')")
        one = next(happened)
        assert one.revision is not None
        assert (one.what, one.revision.id) == ("revision", number)
    happened.close()


def test_a_database_that_is_set_back_is_told(dsn: str, sql: Sql) -> None:
    """By the token of the revision, whatever its number."""
    sql("INSERT INTO fengling.service (id) VALUES ('s')")
    follower = Follower(dsn, lost=pytest.fail, poll_seconds=0.01)
    follower.begin(0)
    sql("UPDATE fengling.revision SET token = gen_random_uuid()")
    happened = follower.follow()
    one = next(happened)
    assert (one.what, one.revision and one.revision.id) == ("reset", 1)
    assert (
        str(line(one)) == "the database is another one, or has been set back: it is at revision 1"
    )
    sql("UPDATE fengling.service SET name = 'x'")
    assert next(happened).what == "revision"
    happened.close()


@pytest.mark.parametrize("payload", ["", "[", "[]", '{"action": "reload", "details": 1}', "{}"])
def test_any_payload_is_survived(dsn: str, sql: Sql, payload: str) -> None:
    """Anybody can send one; only that of a reload is told."""
    follower = Follower(dsn, lost=pytest.fail, poll_seconds=0.01)
    follower.begin(1)
    happened = follower.follow()
    assert next(happened).what == "revision"
    sql("SELECT pg_notify('gateway_config_changed', %s)", payload)
    sql("INSERT INTO fengling.service (id) VALUES ('s')")
    told = {next(happened).what}
    if "reload" in payload:
        told.add(next(happened).what)
    assert told == ({"revision", "reload"} if "reload" in payload else {"revision"})
    happened.close()


def test_a_database_that_is_away_at_first_is_status_2(run: Any) -> None:
    """Then it was named wrongly, most likely."""
    result = run("events", "--database", "postgresql://127.0.0.1:1/x?connect_timeout=2")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_what_others_write_is_no_escape() -> None:
    """In a notification, whose sender nobody verifies."""
    told = str(line(Happened("reload", by="\x1b[31m", comment="\n")))
    assert told == "gateways are asked to look by \\x1b[31m · \\n"


def test_revision_that_changes_nothing_has_no_gap(dsn: str) -> None:
    """The first one, which says why there is a log."""
    follower = Follower(dsn, lost=pytest.fail)
    follower.begin(1)
    happened = follower.follow()
    told = str(line(next(happened)))
    happened.close()
    assert told.endswith("via fengling schema · an empty configuration")
