"""What becomes of what a worker writes, and of what it leaves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessProtocol
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from fengling_gateway.supervisor.launch import MAX_LINE_BYTES, ProcessLauncher
from fengling_gateway.worker.handoff import offer_path


class FakeReactor:
    """Starts no process, and shows how it was asked to."""

    protocol: Any
    descriptors: dict[int, Any]

    def spawnProcess(self, protocol: IProcessProtocol, *_: Any, childFDs: Any, **__: Any) -> Any:
        self.protocol, self.descriptors = protocol, childFDs
        process = SimpleNamespace(pid=4242)
        protocol.makeConnection(process)
        return process

    def adoptStreamConnection(self, *_: Any) -> None: ...

    def seconds(self) -> float:
        return 0.0


class Launching:
    """A launched worker, what it has written, and how it has ended."""

    def __init__(self, runtime_dir: Path, *, shares_stdout: bool = False) -> None:
        self.lines: list[bytes] = []
        self.ended: list[str] = []
        self.reactor = FakeReactor()
        launcher = ProcessLauncher(
            reactor=self.reactor,
            sockets=dict,
            environment={},
            arguments=[],
            runtime_dir=runtime_dir,
            lines=None if shares_stdout else self.lines.append,
        )
        launcher.launch("w0", SimpleNamespace(), self.ended.append)  # type: ignore[arg-type]

    def write(self, descriptor: int, *parts: bytes) -> None:
        for part in parts:
            self.reactor.protocol.childDataReceived(descriptor, part)


@pytest.fixture
def launching(tmp_path: Path) -> Launching:
    return Launching(tmp_path)


class OutputTests:
    """What a worker writes where it has no stdout of ours."""

    def test_lines_are_passed_on_whole(self, launching: Launching) -> None:
        """However they come; the last one even if the worker has died within it."""
        launching.write(1, b"one\ntw", b"o\nthr", b"ee\n\nlast")
        assert launching.lines == [b"one\n", b"two\n", b"three\n", b"\n"]
        launching.reactor.protocol.childConnectionLost(1)
        launching.reactor.protocol.childConnectionLost(2)
        assert launching.lines[4:] == [b"last\n"]

    def test_line_without_an_end_is_cut(self, launching: Launching) -> None:
        """What it has of our memory is bounded."""
        launching.write(1, *[b"x" * 4096] * 40)
        assert launching.lines
        assert all(len(line) <= MAX_LINE_BYTES + 4096 + 1 for line in launching.lines)

    def test_errors_of_the_interpreter_become_lines_of_ours(self, launching: Launching) -> None:
        """They have neither time nor format; the worker is named."""
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
        try:
            launching.write(2, b"Fatal Python error: \xff\n")
        finally:
            globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]
        assert [formatEvent(event) for event in events] == ["w0: Fatal Python error: \\xff"]

    def test_our_stdout_is_inherited_where_it_is_shared(self, tmp_path: Path) -> None:
        """It is still there when the supervisor is gone."""
        launching = Launching(tmp_path, shares_stdout=True)
        assert (launching.reactor.descriptors[1], launching.reactor.descriptors[2]) == (1, 2)


class EndTests:
    """What a worker leaves."""

    @pytest.mark.parametrize(
        ("reason", "said"),
        [(ProcessDone(0), "exit status 0"), (ProcessTerminated(signal=9), "signal 9")],
    )
    def test_its_offer_goes_with_it(self, tmp_path: Path, reason: Exception, said: str) -> None:
        """Killed, it could not take the socket away itself."""
        launching = Launching(tmp_path)
        offer, other = offer_path(tmp_path, 4242), offer_path(tmp_path, 4243)
        offer.touch()
        other.touch()
        launching.reactor.protocol.processExited(Failure(reason))
        assert (offer.exists(), other.exists(), launching.ended) == (False, True, [said])

    def test_offer_that_cannot_be_removed_stops_nothing(self, tmp_path: Path) -> None:
        """A runtime directory that somebody has spoilt; the slot is filled again."""
        launching = Launching(tmp_path)
        offer_path(tmp_path, 4242).mkdir()
        launching.reactor.protocol.processExited(Failure(ProcessTerminated(signal=9)))
        assert launching.ended == ["signal 9"]
