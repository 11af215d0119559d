"""Child processes that never outlive the benchmark, pinned to the cores they are given.

Ctrl-C reaches the benchmark only, which then stops the children in order;
should it be killed itself, a guard ends them (`fengling_gateway.embedded.owned`).
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self, TypeVar

from benchmarks.harness.proc import ProcessRecord, cpu_seconds, read_tree
from fengling_gateway.embedded.owned import OwnedProcess, StartError, scratch_directory
from fengling_gateway.embedded.ports import free_port

__all__ = [
    "Child",
    "Children",
    "StartError",
    "accepts",
    "exit_on_signals",
    "free_port",
    "run_with_children",
    "scratch_directory",
]

_PROJECT: Final = Path(__file__).parents[2]
_PORT_SECONDS: Final = 20.0

T = TypeVar("T")


class Child(OwnedProcess):
    """One started program and all its processes."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        cpus: frozenset[int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        super().__init__(
            [*_pinned(cpus), *command],
            log=directory / f"{name}.log",
            env={**os.environ, "PYTHONPATH": str(_PROJECT), **(environment or {})},
        )

    def __repr__(self) -> str:
        return f"<Child {self.name} pid={self.pid}>"

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return cpu_seconds(self.pid)

    def processes(self) -> list[ProcessRecord]:
        return read_tree(self.pid)

    def wait_for_port(self, port: int) -> None:
        """
        Wait until it listens there.

        Raises:
            StartError: it ended first, or takes too long.
        """
        try:
            self.wait_until(lambda: accepts(port), _PORT_SECONDS)
        except StartError as error:
            raise StartError(f"{self.name}: {error}") from error


def _pinned(cpus: frozenset[int] | None) -> list[str]:
    """What goes before a command; ``taskset`` becomes the command itself, under its pid."""
    return ["taskset", "-c", ",".join(map(str, sorted(cpus)))] if cpus else []


class Children:
    """Everything a benchmark has started; leaving the ``with`` block stops it, newest first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with undisturbed():
            for child in reversed(self._children):
                child.stop()
            self._children.clear()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        cpus: frozenset[int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        child = Child(name, command, directory=self.directory, cpus=cpus, environment=environment)
        self._children.append(child)
        return child

    def stop(self, child: Child) -> None:
        """Stop one of them now."""
        child.stop()
        self._children.remove(child)


def _exit_on(signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signum)


def exit_on_signals() -> None:
    """
    Make TERM and HUP unwind the stack as Ctrl-C does, so that children are stopped.

    Ctrl-C too: a shell starts background jobs with it ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _exit_on)


def run_with_children(
    run: Callable[[argparse.Namespace, Children], T], options: argparse.Namespace
) -> T:
    """Run a benchmark in a directory of its own; exits where something does not start."""
    exit_on_signals()
    try:
        with Children(scratch_directory("bench-")) as children:
            return run(options, children)
    except StartError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C and TERM: an impatient second one must not leave processes behind."""
    held = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(signum, signal.signal(signum, signal.SIG_IGN)) for signum in held]
    try:
        yield
    finally:
        for signum, handler in before:
            signal.signal(signum, handler)


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on this port of the loopback interface."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False
