"""Accepting from a listening socket that says what a test wants."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from twisted.internet.address import IPv6Address
from twisted.internet.testing import MemoryReactorClock

from fengling_gateway.dataplane.ports import (
    ACCEPTS_PER_TURN,
    PAUSE_SECONDS,
    Doorkeeper,
    FastPort,
)


class Listening:
    """Gives errors, by their numbers, and clients, by their addresses; then there is nobody."""

    def __init__(self) -> None:
        self.queue: list[Any] = []

    def accept(self) -> Any:
        if not self.queue:
            raise BlockingIOError
        first = self.queue.pop(0)
        if isinstance(first, int):
            raise OSError(first, errno.errorcode[first])
        return socket.socket(), (first, 40000) if isinstance(first, str) else first

    def fileno(self) -> int:
        return 1000


class Door(Doorkeeper):
    """Notes who comes in, and why somebody can't."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.short: list[int | None] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.came.append(addr.host)
        return self

    def makeConnection(self, transport: Any) -> None:
        transport.close()

    def short_of(self, error: OSError) -> None:
        self.short.append(error.errno)


class Scene:
    def __init__(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.door = Door()
        self.listening = Listening()
        self.port: Any = FastPort(0, self.door, reactor=self.reactor)
        self.port.numberAccepts = ACCEPTS_PER_TURN
        self.port.socket = self.listening
        self.port.transport = lambda client, *_: client
        self.port.startReading()

    @property
    def is_reading(self) -> bool:
        return self.port in self.reactor.getReaders()

    def come(self, *queue: int | str) -> list[str]:
        """Let these come; who is accepted in one turn."""
        self.listening.queue += queue
        self.door.came.clear()
        self.port.doRead()
        return self.door.came


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_others_have_their_turn(scene: Scene) -> None:
    """However many clients come at the same time."""
    many = [f"10.0.0.{number}" for number in range(ACCEPTS_PER_TURN + 5)]
    assert scene.come(*many) == many[:ACCEPTS_PER_TURN]
    assert scene.come() == many[ACCEPTS_PER_TURN:]


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM])
def test_client_that_has_left_holds_up_nobody(scene: Scene, number: int) -> None:
    """The next one is accepted in the same turn."""
    assert scene.come(number, "10.0.0.1") == ["10.0.0.1"]
    assert scene.is_reading
    assert scene.door.short == []


@pytest.mark.parametrize("number", [errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_want_of_memory_pauses(scene: Scene, number: int) -> None:
    """For a moment; there is nothing that could be told to anybody."""
    assert scene.come(number, "10.0.0.1") == []
    assert scene.door.short == [number]
    assert not scene.is_reading
    scene.reactor.advance(PAUSE_SECONDS)
    assert scene.is_reading
    assert scene.come() == ["10.0.0.1"]


@pytest.mark.parametrize("why", ["is_held", "disconnecting"])
def test_pause_does_not_end_in_accepting_what_is_not_to_be_accepted(scene: Scene, why: str) -> None:
    """Somebody else has said so meanwhile."""
    scene.come(errno.ENOMEM)
    setattr(scene.port, why, True)
    scene.reactor.advance(PAUSE_SECONDS)
    assert not scene.is_reading


def test_link_local_clients_have_a_zone(scene: Scene) -> None:
    """Which is part of their address."""
    index, name = socket.if_nameindex()[0]
    scene.port._addressType = IPv6Address
    scene.listening.queue.append(("fe80::1", 40000, 0, index))
    scene.port.doRead()
    assert scene.door.came == [f"fe80::1%{name}"]
