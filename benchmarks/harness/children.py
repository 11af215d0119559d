"""Child processes that never outlive the benchmark.

Each child leads a session of its own, so that Ctrl-C reaches the benchmark
only, which then stops the children in order. Should the benchmark itself be
killed, the kernel sends each child a TERM.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from benchmarks.harness.proc import ProcessRecord, cpu_seconds, read_processes, read_tree

_PR_SET_PDEATHSIG: Final = 1
_STOP_SECONDS: Final = 10.0
_PROJECT: Final = Path(__file__).parents[2]
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class StartError(Exception):
    """A child ended, or did not listen in time; the message ends with its last output."""


def _prepare(cpus: frozenset[int] | None) -> Callable[[], None]:
    """What a child does between fork and exec."""

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if cpus:
            os.sched_setaffinity(0, cpus)

    return prepare


class Child:
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
        self.log = directory / f"{name}.log"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(_PROJECT), **(environment or {})},
                start_new_session=True,
                preexec_fn=_prepare(cpus),
            )

    def __repr__(self) -> str:
        return f"<Child {self.name} pid={self.pid}>"

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def processes(self) -> list[ProcessRecord]:
        return read_tree(self.pid)

    def wait_for(self, ready: Callable[[], bool], *, seconds: float, what: str) -> None:
        """
        Poll until `ready` answers true.

        Raises:
            StartError: the child ended first, or `seconds` passed.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise StartError(f"{self.name} ended with {self._popen.returncode}{self.tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name}: no {what} after {seconds:g} s{self.tail()}")
            time.sleep(0.02)

    def wait_for_port(self, port: int, *, seconds: float = 20.0) -> None:
        self.wait_for(lambda: accepts(port), seconds=seconds, what=f"listener on port {port}")

    def tail(self, lines: int = 12) -> str:
        """The last lines of its output, each on a line of its own."""
        last = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "".join(f"\n    {line}" for line in last)

    def send(self, signum: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, then kill whatever of its tree is left."""
        family = self.processes()
        if self.running:
            self.send(signum)
            self.wait(_STOP_SECONDS)
        self._kill_survivors({*family, *self.processes()})
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(1.0)

    @staticmethod
    def _kill_survivors(family: set[ProcessRecord]) -> None:
        known = {(process.pid, process.started) for process in family}
        for process in read_processes():
            if (process.pid, process.started) in known:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)


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
        with _undisturbed():
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
    """Make TERM and HUP unwind the stack as Ctrl-C does, so that children are stopped."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _exit_on)


@contextmanager
def _undisturbed() -> Iterator[None]:
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


def free_port() -> int:
    """A port of the loopback interface that nobody used just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
