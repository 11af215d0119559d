"""Child processes of a benchmark: none outlives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.children import Child, Children, StartError
from fengling_gateway.embedded import guard
from tests.support.wait import wait_until

FAMILY = ["sh", "-c", "sleep 600 & sh -c 'trap \"\" TERM; echo up; sleep 600' & wait"]


def start_family(children: Children) -> Child:
    child = children.start("family", FAMILY)
    child.wait_until(lambda: "up" in child.log.read_text(), 20)
    return child


def interrupt(directory: Path, family: list[guard.Process]) -> None:
    """What Ctrl-C in the middle of a benchmark does."""
    with Children(directory) as children:
        family += guard.tree(start_family(children).pid)
        raise KeyboardInterrupt


class ChildrenTests:
    def test_leaving_the_block_ends_grandchildren(self, tmp_path: Path):
        """Also those that ignore TERM."""
        with Children(tmp_path) as children:
            child = start_family(children)
            family = guard.tree(child.pid)
            assert {p.pid for p in family} <= {p.pid for p in child.processes()}
            assert len(family) >= 3
        wait_until(lambda: guard.alive(family) == [])

    def test_interrupted_block_ends_grandchildren(self, tmp_path: Path):
        """Ctrl-C unwinds the same way."""
        family: list[guard.Process] = []
        with pytest.raises(KeyboardInterrupt):
            interrupt(tmp_path, family)
        assert family
        wait_until(lambda: guard.alive(family) == [])

    def test_child_that_ends_at_once_is_reported_with_its_output(self, tmp_path: Path):
        """Nobody waits in vain, and the reason is shown."""
        with Children(tmp_path) as children:
            child = children.start("broken", ["sh", "-c", "echo no such luck; exit 3"])
            with pytest.raises(StartError, match="broken: ended with 3: no such luck"):
                child.wait_for_port(1)

    def test_child_runs_on_the_cores_it_was_given(self, tmp_path: Path):
        """And under the pid that was returned."""
        with Children(tmp_path) as children:
            child = children.start("pinned", ["sleep", "600"], cpus=frozenset({0}))
            status = Path(f"/proc/{child.pid}/status")
            child.wait_until(lambda: "Name:\tsleep" in status.read_text(), 20)
            assert "Cpus_allowed_list:\t0\n" in status.read_text()
