"""The quickstart itself, with everything it starts."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from fengling_gateway.embedded import guard
from tests.support.wait import wait_until

_PROGRAM = [sys.executable, "-m", "fengling_gateway.quickstart"]
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A quickstart in a terminal of 160 columns, and somebody who reads it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.text = ""
        ours, theirs = pty.openpty()
        self._descriptor = ours
        self.process = subprocess.Popen(
            [*_PROGRAM, "--directory", str(directory)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "50"},
        )
        os.close(theirs)

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.directory / "state.json").read_text())
        return state

    def expect(self, words: str, timeout: float = 60.0) -> str:
        """Read until a line matches, and return what matched."""
        deadline = time.monotonic() + timeout
        while (found := re.search(words, self.text)) is None:
            assert time.monotonic() < deadline, f"no {words!r} in {self.text[-3000:]}"
            if select.select([self._descriptor], [], [], 0.1)[0]:
                try:
                    self.text += _ESCAPES.sub("", os.read(self._descriptor, 65536).decode())
                except OSError:  # the other end is closed
                    assert re.search(words, self.text), f"no {words!r} in {self.text[-3000:]}"
        return found[0]

    def forget(self) -> None:
        self.text = ""

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def sql(self, statement: str) -> None:
        """Do what somebody with psql would."""
        connection = psycopg2.connect(self.state["database"], application_name="psql")
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()

    def rights(self) -> list[Any]:
        """Who writes SQL here: the name, whether a superuser, and the roles."""
        with closing(psycopg2.connect(self.state["database"])) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT rolname::text, rolsuper, ARRAY(SELECT roleid::regrole::text"
                " FROM pg_auth_members WHERE member = pg_roles.oid)"
                " FROM pg_roles WHERE rolname = current_user"
            )
            return cursor.fetchall()

    def call(self, *arguments: str) -> str:
        """Call the quickstart from another terminal."""
        command = [*_PROGRAM, "--directory", str(self.directory), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._descriptor)
        self._descriptor = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._descriptor)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path / "quickstart")
    yield opened
    opened.close()


class QuickstartTests:
    """From the first line to Ctrl-C."""

    def test_smoke_sees_a_change_served_by_every_worker(self, tmp_path: Path) -> None:
        """It says what it saw, exits 0 and leaves nothing."""
        ran = subprocess.run(
            [*_PROGRAM, "--smoke", "--directory", str(tmp_path / "q")],
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert re.search(r"before: .*hello-v1 100%.*2 workers", ran.stdout)
        assert re.search(r"revision \d+: served by 2/2 workers in [\d.]+ ms", ran.stdout)
        assert re.search(r"after: .*hello-v1 \d+%, hello-v2 \d+%", ran.stdout)
        assert "0 failed" in ran.stdout
        assert "\x1b" not in ran.stdout
        assert not (tmp_path / "q").exists()

    def test_tour_is_told_and_ctrl_c_leaves_nothing_behind(self, terminal: Terminal) -> None:
        """A split, a broken route, a killed worker, a stopped PostgreSQL, an undo: 0 failed."""
        terminal.expect(r"Ctrl-C ends everything")
        terminal.expect(r"\d+ requests · 0 failed.*2/2 workers")
        everything = [
            process
            for name, pid in terminal.state["pids"].items()
            if name != "workers"
            for process in guard.tree(pid)
        ]
        assert len(everything) > 8
        assert terminal.rights() == [("ops", False, ["fengling_console"])]

        terminal.sql(
            """UPDATE fengling.route SET split = '{"hello-v1": 50, "hello-v2": 50}'"""
            " WHERE id = 'hello'"
        )
        terminal.expect(r"revision \d+ · ops via psql · route hello: split v1 100 → v1 50, v2 50")
        terminal.expect(r"served by 2/2 workers in [\d.]+ ms")
        terminal.sql("SELECT fengling.undo(max(id)) FROM fengling.revision")
        terminal.expect(r"“undo of revision \d+”")

        terminal.sql("UPDATE fengling.route SET path = '~^/orders/([0-9]+' WHERE id = 'orders'")
        terminal.expect(r"route orders: path .* · rejected: no change in what is served")
        terminal.expect(r"! rejected: route orders: ")

        victim = int(terminal.call("pid", "worker"))
        os.kill(victim, 9)
        terminal.expect(rf"pid {victim}\) is gone|pid {victim} is gone")
        terminal.forget()
        terminal.expect(r"0 failed.*2/2 workers")

        stopped = terminal.state["pids"]["postgres"]
        terminal.call("stop", "postgres")
        terminal.expect(r"PostgreSQL is gone")
        terminal.call("start", "postgres")
        terminal.expect(r"PostgreSQL is back", timeout=30)
        wait_until(lambda: terminal.state["pids"].get("postgres", stopped) != stopped)

        terminal.sql("DELETE FROM fengling.route")
        terminal.expect(r"held: revision \d+ removes 4 of 4 routes")
        terminal.sql((terminal.directory / "demo.sql").read_text())
        terminal.expect(r"“the demo”")
        terminal.expect(r"nothing is held any more")
        terminal.expect(r"orders is no longer rejected")

        terminal.forget()
        terminal.expect(r"\d+ requests · 0 failed.*2/2 workers")
        terminal.type("\x03")
        terminal.process.wait(timeout=30)
        assert terminal.process.returncode == 0
        assert guard.alive(everything) == []
        assert not terminal.directory.exists()

    def test_closed_terminal_leaves_nothing_behind(self, terminal: Terminal) -> None:
        """It can't be written to any more, which is no reason to leave secrets."""
        terminal.expect(r"\d+ requests · 0 failed.*2/2 workers")
        started = guard.tree(terminal.process.pid)[1:]
        terminal.hang_up()
        assert terminal.process.wait(timeout=30) == 0
        wait_until(lambda: not guard.alive(started))
        assert not terminal.directory.exists()

    def test_ctrl_c_while_starting_leaves_nothing_behind(self, terminal: Terminal) -> None:
        """In the middle of whatever it was doing."""
        terminal.expect(r"PostgreSQL \d")
        started = guard.tree(terminal.process.pid)[1:]
        terminal.type("\x03")
        terminal.process.wait(timeout=30)
        assert terminal.process.returncode == 0
        wait_until(lambda: not guard.alive(started))
        assert not terminal.directory.exists()

    def test_ctrl_c_at_once_ends_it_in_silence(self, tmp_path: Path) -> None:
        """While it still imports what it is made of."""
        process = subprocess.Popen(
            [*_PROGRAM, "--directory", str(tmp_path / "quickstart")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        maps = Path(f"/proc/{process.pid}/maps")
        wait_until(lambda: "_zope_interface" in maps.read_text())
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert "Traceback" not in said
        assert process.returncode in (0, -signal.SIGINT)
        assert not (tmp_path / "quickstart").exists()

    def test_killed_quickstart_takes_everything_with_it(self, terminal: Terminal) -> None:
        """Also the workers, which would outlive a supervisor for a while."""
        terminal.expect(r"\d+ requests · 0 failed.*2/2 workers")
        started = guard.tree(terminal.process.pid)[1:]
        assert len(started) > 8
        terminal.process.kill()
        wait_until(lambda: not guard.alive(started), timeout=40)

    def test_killed_supervisor_ends_the_quickstart_and_its_workers(
        self, terminal: Terminal
    ) -> None:
        """They would keep the port from the next one."""
        terminal.expect(r"\d+ requests · 0 failed.*2/2 workers")
        started = guard.tree(terminal.process.pid)[1:]
        os.kill(terminal.state["pids"]["gateway"], 9)
        terminal.expect(r"the gateway has ended by signal 9")
        terminal.process.wait(timeout=30)
        assert terminal.process.returncode == 1
        wait_until(lambda: not guard.alive(started))

    def test_second_quickstart_in_the_same_place_is_refused(self, terminal: Terminal) -> None:
        """With one line, and the first one goes on."""
        terminal.expect(r"PostgreSQL")
        ran = subprocess.run(
            [*_PROGRAM, "--directory", str(terminal.directory)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 1
        assert "running" in ran.stderr
        assert "Traceback" not in ran.stderr
