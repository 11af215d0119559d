"""Owners that die: what they started goes with them, whenever and however they do."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fengling_gateway.embedded import guard
from fengling_gateway.embedded.postgres import UNPRIVILEGED_USER
from fengling_gateway.embedded.postgres_programs import VERSIONS, programs
from tests.embedded.owner import STEPS
from tests.support.wait import wait_until


class Owner:
    """`tests.embedded.owner`, and what is left of it."""

    def __init__(self, step: str) -> None:
        self.mark = secrets.token_hex(6)
        user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        binaries = str(programs(VERSIONS[-1], user))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.embedded.owner", self.mark, binaries, step],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def wait_started(self) -> list[int]:
        """Wait for its servers, and return their pids; the last one is its fork's."""
        assert self.process.stdout is not None
        pids: list[int] = json.loads(self.process.stdout.readline())
        return pids

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def left(self) -> list[str]:
        """Return the processes and directories in which its mark is to be found."""
        pids = [pid for pid in guard.processes() if self.mark in self._traces(pid)]
        found = Path(tempfile.gettempdir()).glob(f"*{self.mark}*")
        return [*map(str, pids), *map(str, found)]

    def _traces(self, pid: int) -> str:
        # A backend of PostgreSQL has another title, but is in its data directory.
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            return os.readlink(f"/proc/{pid}/cwd") + command.decode(errors="replace")
        except OSError:
            return ""


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> Iterator[Owner]:
    """Return a running owner; the fixture's parameter is its step."""
    owner = Owner(getattr(request, "param", "waiting"))
    yield owner
    owner.kill()


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="reads /proc")
class OwnersDeathTests:
    """kill -9, at the worst moments."""

    @pytest.mark.parametrize("owner", STEPS, indirect=True)
    def test_killed_while_it_forks_for_a_program_leaves_nothing(self, owner: Owner) -> None:
        """The program has not run yet and nobody has been told of it."""
        assert owner.process.wait(60) == -signal.SIGKILL
        wait_until(lambda: not owner.left(), timeout=60)

    @pytest.mark.parametrize("owner", ["waiting", "frozen"], indirect=True)
    def test_killed_with_servers_running_leaves_nothing(self, owner: Owner) -> None:
        """Frozen ones are thawed to end."""
        servers = [process for pid in owner.wait_started() for process in guard.tree(pid)]
        assert len(servers) > 5
        assert len(owner.left()) > 5
        owner.kill()
        wait_until(lambda: not owner.left() and not guard.alive(servers), timeout=60)

    @pytest.mark.parametrize("owner", ["forked"], indirect=True)
    def test_fork_of_it_that_lives_on_keeps_nothing_alive(self, owner: Owner) -> None:
        """It holds everything open that its parent had open."""
        *servers, fork = owner.wait_started()
        owner.process.kill()
        owner.process.wait()
        try:
            wait_until(lambda: not {*servers} & {*guard.processes()}, timeout=60)
            assert fork in guard.processes()
        finally:
            os.kill(fork, signal.SIGKILL)
        wait_until(lambda: not owner.left())
