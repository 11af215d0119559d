"""How a worker comes to life: as a process of its own, or within this one."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.control.channel import Channel, ChannelUser
from fengling_gateway.control.local_channel import LocalChannel
from fengling_gateway.control.socket_channel import OneChannel, SocketChannel
from fengling_gateway.worker.handoff import withdraw_offer

_log = Logger()

CONTROL_DESCRIPTOR: Final = 3
"""The worker's end of the control channel."""

FIRST_LISTENER_DESCRIPTOR: Final = 4

MAX_LINE_BYTES: Final = 64 * 1024
"""Of a worker's line so far; tracebacks are shorter."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A worker that has been started; `kill` ends it at once (SIGKILL)."""

    channel: Channel
    pid: int
    kill: Callable[[], None]
    listeners: dict[str, list[int]]
    """Descriptor numbers in the worker, by listener name and slot."""


class Launcher(Protocol):
    """Starts workers."""

    can_overlap: bool
    """Whether a slot's next worker can start while the last one still runs."""

    def launch(self, name: str, user: ChannelUser, exited: Callable[[str], None]) -> Launched:
        """Start one; `exited` is called once, with how it ended in words."""


class _WorkerProcess(ProcessProtocol):
    """
    A worker's process, seen from here.

    Args:
        exited: called with its pid, and with how it ended in words.
        lines: takes what it writes line by line; unused where it shares our stdout.
    """

    def __init__(
        self, name: str, exited: Callable[[int, str], None], lines: Callable[[bytes], object]
    ) -> None:
        self._pid = 0
        self._exited = exited
        self._streams = {
            1: _Lines(lines),
            2: _Lines(
                lambda line: _log.error(
                    "{name}: {line}", name=name, line=_text(line), log_id="worker.said"
                )
            ),
        }

    def connectionMade(self) -> None:
        self._pid = self.transport.pid  # type: ignore[union-attr]

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._streams[childFD].received(data)

    def childConnectionLost(self, childFD: int) -> None:
        if childFD in self._streams:
            self._streams[childFD].ended()

    def processExited(self, reason: Failure) -> None:
        ended: Any = reason.value
        signal, status = ended.signal, ended.exitCode
        how = f"signal {signal}" if signal is not None else f"exit status {status}"
        self._exited(self._pid, how)


class _Lines:
    """Makes lines of what comes in pieces; those above `MAX_LINE_BYTES` are cut."""

    def __init__(self, put: Callable[[bytes], object]) -> None:
        self._put = put
        self._begun = b""

    def received(self, data: bytes) -> None:
        *lines, rest = (self._begun + data).split(b"\n")
        for line in lines:
            self._put(line + b"\n")
        if len(rest) > MAX_LINE_BYTES:
            self._put(rest + b"\n")
            rest = b""
        self._begun = rest

    def ended(self) -> None:
        begun, self._begun = self._begun, b""
        if begun:
            self._put(begun + b"\n")


def _text(line: bytes) -> str:
    return line.decode(errors="backslashreplace").rstrip("\n")


class ProcessLauncher:
    """
    Starts ``python -m fengling_gateway.tap.worker`` with every slot's sockets.

    The environment loses ``FENGLING_*``: settings, and secrets among them,
    reach a worker over the control channel only.

    Args:
        arguments: what follows the worker's name on its command line: the
            reactor, the log's form and level.
        runtime_dir: where workers offer their sockets.
        lines: takes the lines of their logs, as they are written; None: they
            write to our stdout, and go on when we are gone.
    """

    can_overlap = True

    def __init__(
        self,
        *,
        reactor: Any,
        sockets: Callable[[], dict[str, list[socket.socket]]],
        environment: Mapping[str, str],
        arguments: Sequence[str],
        runtime_dir: Path,
        lines: Callable[[bytes], object] | None = None,
    ) -> None:
        self._reactor = reactor
        self._runtime_dir = runtime_dir
        self._lines = lines
        self._arguments = list(arguments)
        self._sockets = sockets
        self._environment = {
            name: value for name, value in environment.items() if not name.startswith("FENGLING_")
        }

    def launch(self, name: str, user: ChannelUser, exited: Callable[[str], None]) -> Launched:
        ours, theirs = socket.socketpair()
        channel = SocketChannel(clock=self._reactor, user=user)
        descriptors, listeners = self._descriptors()
        nothing = os.open(os.devnull, os.O_RDONLY)

        def ended(pid: int, how: str) -> None:
            withdraw_offer(self._runtime_dir, pid)
            exited(how)

        output: dict[int, Any] = {1: 1, 2: 2} if self._lines is None else {1: "r", 2: "r"}
        try:
            process = self._reactor.spawnProcess(
                _WorkerProcess(name, ended, self._lines or (lambda _: None)),
                sys.executable,
                [sys.executable, "-m", "fengling_gateway.tap.worker", name, *self._arguments],
                env=self._environment,
                childFDs={
                    0: nothing,
                    **output,
                    CONTROL_DESCRIPTOR: theirs.fileno(),
                    **descriptors,
                },
            )
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, OneChannel(channel))
        finally:
            os.close(nothing)
            ours.close()
            theirs.close()
        return Launched(channel, process.pid, lambda: _kill(process), listeners)

    def _descriptors(self) -> tuple[dict[int, int], dict[str, list[int]]]:
        descriptors: dict[int, int] = {}
        listeners: dict[str, list[int]] = {}
        for name, by_slot in self._sockets().items():
            listeners[name] = []
            for one in by_slot:
                number = FIRST_LISTENER_DESCRIPTOR + len(descriptors)
                descriptors[number] = one.fileno()
                listeners[name].append(number)
        return descriptors, listeners


def _kill(process: Any) -> None:
    try:
        process.signalProcess("KILL")
    except Exception:  # noqa: S110 - it has exited already, and processExited says so
        pass


class LocalWorker(Protocol):
    """A worker agent, as far as its launcher knows it."""

    def message_received(self, message: Any, payload: bytes) -> None: ...

    def channel_lost(self) -> None: ...

    def connect(self, channel: Channel) -> None: ...


class LocalLauncher:
    """
    Runs the worker in this process, for ``workers = 1``.

    Args:
        make_agent: makes the agent; its argument is called when it is done.
    """

    can_overlap = False

    def __init__(
        self, *, clock: IReactorTime, make_agent: Callable[[Callable[[], None]], LocalWorker]
    ) -> None:
        self._clock = clock
        self._make_agent = make_agent

    def launch(self, name: str, user: ChannelUser, exited: Callable[[str], None]) -> Launched:
        agent = self._make_agent(lambda: exited("drained"))
        ours = LocalChannel(clock=self._clock, user=user)
        theirs = LocalChannel(clock=self._clock, user=agent)
        LocalChannel.connect(ours, theirs)
        agent.connect(theirs)
        return Launched(ours, os.getpid(), lambda: None, {})
