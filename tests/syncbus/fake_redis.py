"""The other side of a connection to Redis, in memory and under a clock's control."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure


def resp(*words: bytes | int) -> bytes:
    """Return words as an array of Redis's protocol."""
    parts = [
        b":%d\r\n" % word if isinstance(word, int) else b"$%d\r\n%s\r\n" % (len(word), word)
        for word in words
    ]
    return b"*%d\r\n" % len(words) + b"".join(parts)


class Wire(StringTransport):
    """One connection: what the client wrote, and what it is told."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.protocol: Any = None
        self.open = True

    def abortConnection(self) -> None:
        self.end(ConnectionAborted())

    def loseConnection(self) -> None:
        self.end(ConnectionDone())

    def end(self, why: Exception) -> None:
        """Close it, from either side."""
        if self.open:
            self.open = False
            self._clock.callLater(0, self.protocol.connectionLost, Failure(why))

    def commands(self) -> list[str]:
        """Return the names of the commands written since the last call."""
        text, names = self.value(), []
        self.clear()
        lines = text.split(b"\r\n")
        while lines and lines[0].startswith(b"*"):
            count = int(lines[0][1:])
            names.append(lines[2].decode())
            lines = lines[1 + 2 * count :]
        return names

    def say(self, reply: bytes) -> None:
        self.protocol.dataReceived(reply)


class FakeEndpoint:
    """
    Accepts connections (the last one is ``wire``) unless told otherwise.

    Attributes:
        mode: ``accept``, ``refuse`` or ``hang``.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.mode = "accept"
        self.attempts = 0
        self.wires: list[Wire] = []

    @property
    def wire(self) -> Wire:
        return self.wires[-1]

    def connect(self, factory: Any) -> Deferred[Any]:
        self.attempts += 1
        if self.mode == "hang":
            return Deferred()
        if self.mode == "refuse":
            return fail(ConnectError())
        wire = Wire(self._clock)
        wire.protocol = factory.buildProtocol(None)
        self.wires.append(wire)
        wire.protocol.makeConnection(wire)
        return succeed(wire.protocol)
