"""The guard itself, and the connection to it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fengling_gateway.embedded import guard
from fengling_gateway.embedded.guarded import Guard
from tests.support.wait import wait_until

ORPHANAGE = ["/bin/sh", "-c", "sleep 600 & sleep 600 & echo up; wait"]


class RunningGuard:
    """A guard whose owner is this process."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"TMPDIR": str(directory)},
            cwd=directory,
            bufsize=0,
        )

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)

    def order(self, **order: object) -> None:
        self.say(json.dumps(order).encode() + b"\n")

    def answer(self) -> dict[str, str]:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 20)[0]
        answer: dict[str, str] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> str:
        """Let it do its work, and return what it complained of."""
        return self.process.communicate(timeout=30)[1].decode()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningGuard]:
    """Return a guard that stands in, and makes its directories in, ``tmp_path``."""
    running = RunningGuard(tmp_path)
    yield running
    if running.process.returncode is None:
        running.close()


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """Return a program with two children, in a session of its own."""
    program = subprocess.Popen(ORPHANAGE, stdout=subprocess.PIPE, start_new_session=True)
    assert program.stdout is not None
    assert program.stdout.readline() == b"up\n"
    yield program
    guard.send(guard.tree(program.pid), signal.SIGKILL)
    program.communicate()


class GuardTests:
    """What it is told, and what it then does."""

    def test_directory_it_made_is_deleted_in_the_end(self, running: RunningGuard) -> None:
        """With what is in it."""
        running.order(make="scratch-")
        made = Path(running.answer()["made"])
        assert made.is_absolute()
        (made / "file").touch()
        assert running.close() == ""
        assert not made.exists()

    @pytest.mark.parametrize("path", ["", ".", "kept", "/kept"])
    def test_directory_it_did_not_make_is_not_deleted(
        self, running: RunningGuard, tmp_path: Path, path: str
    ) -> None:
        """However an order might name it."""
        (tmp_path / "kept").mkdir()
        path = str(tmp_path / "kept") if path.startswith("/") else path
        running.order(remove=path)
        running.order(made=path)
        assert running.close().count("ValueError: no such order") == 2
        assert (tmp_path / "kept").exists()

    def test_directory_is_made_where_it_is_asked_for(
        self, running: RunningGuard, tmp_path: Path
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        running.order(make="scratch-", within=str(tmp_path / "elsewhere"))
        made = Path(running.answer()["made"])
        assert made.parent == tmp_path / "elsewhere"
        assert running.close() == ""
        assert not made.exists()

    def test_directory_that_cannot_be_made_is_answered(self, running: RunningGuard) -> None:
        """The reason is the system's."""
        running.order(make="no/such/")
        assert "No such file" in running.answer()["failed"]

    def test_owner_that_has_gone_meanwhile_is_nothing_to_complain_of(
        self, running: RunningGuard, tmp_path: Path
    ) -> None:
        """One that was interrupted between the order and its answer."""
        assert running.process.stdout is not None
        running.process.stdout.close()
        running.order(make="made-")
        wait_until(lambda: list(tmp_path.glob("made-*")))
        assert running.close() == ""
        assert not list(tmp_path.glob("made-*"))

    def test_odd_lines_do_not_keep_it_from_its_work(
        self, running: RunningGuard, family: subprocess.Popen[bytes]
    ) -> None:
        """They are told of, a line that ends in its middle is nobody's order."""
        members = guard.tree(family.pid)
        running.order(watch=family.pid, signal=15, grace=0.1)
        for line in (b"[]", b"{", b"\xff", b"7", b'{"watch": "x"}', b'{"forget": []}', b""):
            running.say(line + b"\n")
        running.say(b'{"forget": %d' % family.pid)
        assert running.close().count("Error") >= 7
        assert guard.alive(members) == []

    def test_name_cut_within_a_character_does_no_harm(
        self, running: RunningGuard, family: subprocess.Popen[bytes], tmp_path: Path
    ) -> None:
        """The system cuts a process's name after 15 bytes."""
        program = tmp_path / "aäääääääääää"
        program.symlink_to("/bin/sleep")
        odd = subprocess.Popen([program, "600"])
        try:
            members = guard.tree(family.pid)
            running.order(watch=family.pid, signal=15, grace=0.1)
            assert running.close() == ""
            assert guard.alive(members) == []
            assert odd.pid in guard.processes()
        finally:
            odd.kill()
            odd.wait()

    def test_orphans_of_a_killed_program_are_ended(
        self, running: RunningGuard, family: subprocess.Popen[bytes]
    ) -> None:
        """They have another parent by then, and the same session."""
        members = guard.tree(family.pid)
        assert len(members) == 3
        running.order(watch=family.pid, signal=15, grace=0.1)
        running.order(make="heard-")
        running.answer()
        family.kill()
        family.wait()
        assert len(guard.alive(members)) == 2
        running.close()
        assert guard.alive(members) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
    def test_signals_to_everybody_do_not_end_it(self, running: RunningGuard, number: int) -> None:
        """A terminal that closes, a machine that shuts down: its owner comes first."""
        running.order(make="scratch-")
        made = Path(running.answer()["made"])
        running.process.send_signal(number)
        assert running.close() == ""
        assert running.process.returncode == 0
        assert not made.exists()


class ConnectionTests:
    """What an owner sees of it."""

    def test_killed_guard_is_replaced_and_told_what_runs(self) -> None:
        """With the next program, or at the end."""
        connection = Guard()
        programs = []
        for _ in range(2):
            program = connection.start(["sleep", "600"], signal.SIGTERM, 5.0)
            programs.append(program)
            wait_until(lambda program=program: _name(program.pid) == "sleep")  # type: ignore[misc]
            os.kill(connection.pid, signal.SIGKILL)
            wait_until(lambda: connection.pid not in guard.processes())
        connection.close()
        assert [program.wait(1) for program in programs] == [-signal.SIGTERM] * 2

    def test_guard_that_hangs_hears_of_it_later(self) -> None:
        """What it was told meanwhile waits for it."""
        connection = Guard()
        os.kill(connection.pid, signal.SIGSTOP)
        program = connection.start(["sleep", "600"], signal.SIGTERM, 5.0)
        wait_until(lambda: _name(program.pid) == "sleep")  # told, if not heard yet
        os.kill(connection.pid, signal.SIGCONT)
        connection.close()
        assert program.wait(1) == -signal.SIGTERM

    def test_forgotten_program_is_left_alone(self) -> None:
        """Its owner has seen to it."""
        connection = Guard()
        program = connection.start(["sleep", "600"], signal.SIGTERM, 5.0)
        wait_until(lambda: _name(program.pid) == "sleep")
        connection.forget(program)
        connection.close()
        connection.forget(program)  # as somebody does who ends after its guard
        assert program.poll() is None
        program.kill()
        program.wait()

    def test_owner_that_ends_waits_for_its_guard_and_complains_of_nothing(
        self, tmp_path: Path
    ) -> None:
        """Nothing is left once it is gone, and Python has nothing left to warn of."""
        program = (
            "import sys; from pathlib import Path;"
            "from fengling_gateway.embedded.owned import OwnedProcess, scratch_directory;"
            "log = scratch_directory('fengling-test-') / 'log';"
            "OwnedProcess(['sleep', '600'], log=log, stop_signal=9).stop();"
            "print(log.parent)"
        )
        ran = subprocess.run(
            [sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, check=True
        )
        assert "ResourceWarning" not in ran.stderr
        assert not Path(ran.stdout.strip()).exists()

    def test_fork_of_the_owner_that_ends_takes_nothing_with_it(self, tmp_path: Path) -> None:
        """What it inherited is not its own."""
        program = (
            "import os, sys; from fengling_gateway.embedded.guarded import shared_guard;"
            "program = shared_guard().start(['sleep', '600'], 9, 1.0);"
            "os.fork() == 0 and sys.exit();"
            "os.wait();"
            "print(program.poll())"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert ran.stdout == "None\n"


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
