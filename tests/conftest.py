"""Fixtures and settings of the whole suite."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from fengling_gateway.embedded import guard
from fengling_gateway.embedded.ports import keep_to_share

pytest_plugins = ["tests.support.servers"]

# A shell starts background jobs with Ctrl-C ignored, and everything that is started by
# them inherits that: then programs that are to end by it would not.
signal.signal(signal.SIGINT, signal.default_int_handler)

# One profile for everybody: a shared machine is slow at times, which is no
# reason to fail, and CI finds nothing that a developer can't repeat.
settings.register_profile("here", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("all", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("FENGLING_HYPOTHESIS", "here"))

# One of several processes that run the suite together (scripts/test): "gw0", "gw1"…
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    keep_to_share(int(worker[2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


# Files with tests that take minutes: they begin first, or one process would be left with them.
_LONG = ("tests/dataplane/test_compiled.py", "tests/conformance/", "tests/integration/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda one: not one.nodeid.startswith(_LONG))


@pytest.fixture(scope="session", autouse=True)
def _leave_no_process_behind() -> Iterator[None]:
    """Fail the run when a test leaves a process of ours running."""
    before = {process.pid for process in guard.tree(os.getpid())}
    yield
    left = [process for process in guard.tree(os.getpid())[1:] if process.pid not in before]
    named = [name for process in left if "guard.py" not in (name := _command(process.pid))]
    assert not named, f"left behind: {named}"


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as line:
            return f"{pid} " + line.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "guard.py"  # gone already, or a system without /proc
