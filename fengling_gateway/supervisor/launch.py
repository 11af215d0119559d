"""How a worker comes to life: as a process of its own, or within this one."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from fengling_gateway.control.channel import Channel, ChannelUser
from fengling_gateway.control.local_channel import LocalChannel
from fengling_gateway.control.socket_channel import OneChannel, SocketChannel

CONTROL_DESCRIPTOR: Final = 3
"""The worker's end of the control channel."""

FIRST_LISTENER_DESCRIPTOR: Final = 4


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
    def __init__(self, exited: Callable[[str], None]) -> None:
        self._exited = exited

    def processExited(self, reason: Failure) -> None:
        ended: Any = reason.value
        signal, status = ended.signal, ended.exitCode
        self._exited(f"signal {signal}" if signal is not None else f"exit status {status}")


class ProcessLauncher:
    """
    Starts ``python -m fengling_gateway.tap.worker`` with every slot's sockets.

    The environment loses ``FENGLING_*``: settings, and secrets among them,
    reach a worker over the control channel only.

    Args:
        arguments: what follows the worker's name on its command line: the
            reactor, the log's form and level.
    """

    can_overlap = True

    def __init__(
        self,
        *,
        reactor: Any,
        sockets: Callable[[], dict[str, list[socket.socket]]],
        environment: Mapping[str, str],
        arguments: Sequence[str],
    ) -> None:
        self._reactor = reactor
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
        try:
            process = self._reactor.spawnProcess(
                _WorkerProcess(exited),
                sys.executable,
                [sys.executable, "-m", "fengling_gateway.tap.worker", name, *self._arguments],
                env=self._environment,
                childFDs={
                    0: nothing,
                    1: 1,
                    2: 2,
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
