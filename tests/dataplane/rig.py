"""A data plane in memory: clients and instances are objects, and time moves when told to."""

from __future__ import annotations

import socket
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, UserError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from fengling_gateway.balancing.upstream_networks import LOOPBACK
from fengling_gateway.dataplane.accepting import ListeningSocket
from fengling_gateway.dataplane.plane import DataPlane
from fengling_gateway.dataplane.settings import DataPlaneSettings
from fengling_gateway.routing.snapshot import CompileContext, Snapshot
from tests.dataplane.snapshots import Entity, make_snapshot, plain


class Transport:
    """
    One end of a connection, driven by a test.

    Attributes:
        sent: what the gateway has written.
        ended: "closed", "aborted" or "half-closed" by the gateway; None while open.
        is_reading: whether the gateway wants to read.
    """

    def __init__(
        self, reactor: MemoryReactorClock, protocol: Any, unread: bytes | None = None
    ) -> None:
        self._reactor = reactor
        self.protocol = protocol
        self.sent = b""
        self.ended: str | None = None
        self.is_reading = True
        self.is_lost = False
        self.was_truncated = False
        self.producer: Any = None
        self._socket, self._far_end = socket.socketpair()
        if unread is not None:
            self.leave_unread(unread)
        protocol.makeConnection(self)

    # What the gateway calls

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.ended is None:
            self.sent += data

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.is_reading = False

    def resumeProducing(self) -> None:
        self.is_reading = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        assert enabled

    def loseConnection(self) -> None:
        assert self.producer is None, "a producer would keep Twisted from closing"
        self._end("closed", ConnectionDone())

    def abortConnection(self) -> None:
        self._end("aborted", ConnectionAborted())

    def loseWriteConnection(self) -> None:
        """Half-close it; as with Twisted, a second time breaks it."""
        if self.ended == "half-closed":
            self._end("broken", ConnectionLost())
        self.ended = self.ended or "half-closed"

    def getHandle(self) -> socket.socket:
        return self._socket

    def _end(self, how: str, reason: Exception) -> None:
        if self.ended in {None, "half-closed"}:
            self.ended = how
            self._reactor.callLater(0, self.lose, reason)

    # What tests call

    def deliver(self, data: bytes) -> None:
        assert self.is_reading, "the gateway does not read"
        self.protocol.dataReceived(data)

    def leave_unread(self, data: bytes) -> None:
        """Let the socket hold what the reactor has not reported yet; nothing: the peer hung up."""
        if data:
            self._far_end.send(data)
        else:
            self._far_end.close()

    def lose(self, reason: Exception | None = None) -> None:
        """Close the connection from outside, or because the gateway did."""
        if not self.is_lost:
            self.is_lost = True
            self._socket.close()
            self._far_end.close()
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))

    def half_close(self, *, is_cut: bool = False) -> None:
        """End what the peer sends, cut off as over TLS; Twisted closes all where nobody cares."""
        self.was_truncated = is_cut
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self.lose()

    def block(self) -> None:
        """Fill the buffer towards the peer."""
        self.producer.pauseProducing()

    def unblock(self) -> None:
        self.producer.resumeProducing()

    def take(self) -> bytes:
        """What was sent since the last time."""
        sent, self.sent = self.sent, b""
        return sent


class Connector:
    """A connection being opened; whoever gives it up is told at once, as by Twisted's."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory
        self.state = "connecting"

    def connected(self) -> Any:
        """The protocol for the connection; nothing keeps one from coming too late."""
        self.state = "connected"
        return self._factory.buildProtocol(None)

    def failed(self, error: Exception) -> None:
        if self.state == "connecting":
            self.state = "disconnected"
            self._factory.clientConnectionFailed(self, Failure(error))

    def disconnect(self) -> None:
        self.failed(UserError())


class Port:
    """A listening socket; the reactor reads it or not."""

    def __init__(self) -> None:
        self.is_reading = True
        self.is_held = False

    def startReading(self) -> None:
        self.is_reading = True

    def stopReading(self) -> None:
        self.is_reading = False

    stopListening = stopReading


class Reactor(MemoryReactorClock):
    """Its connectors and ports behave as real ones do."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Port] = []

    def adoptStreamPort(self, *args: Any) -> Any:
        super().adoptStreamPort(*args)
        self.ports.append(Port())
        return self.ports[-1]

    def connectTCP(self, *args: Any, **kwargs: Any) -> Any:
        super().connectTCP(*args, **kwargs)
        self.connectors[-1] = Connector(self.tcpClients[-1][2])
        return self.connectors[-1]


class Rig:
    """A data plane with everything around it."""

    def __init__(
        self,
        *entities: Entity,
        resident: Callable[[], int | None] | None = None,
        reactor: Reactor | None = None,
        **settings: Any,
    ) -> None:
        self.reactor = reactor or Reactor()
        self.reactor.advance(1000)
        self._settings = DataPlaneSettings(
            **{"transports": "stock", "upstream_allow": LOOPBACK, **settings}
        )
        self.plane = DataPlane(
            reactor=self.reactor,
            settings=self._settings,
            worker_name="w1",
            rng=Random(1),
            resident=resident,
        )
        if entities:
            self.apply(*entities)
        self._listening = socket.socket()
        self.port = self.listen()
        self._factory = self.reactor.adoptedPorts[-1][2]
        self._dialed = 0

    def apply(self, *entities: Entity) -> Snapshot:
        context = CompileContext(Random(1), self._settings.upstream_networks())
        snapshot = make_snapshot(*entities, context=context)
        self.plane.apply(snapshot)
        return snapshot

    def listen(self) -> ListeningSocket:
        """Listen, once more."""
        return self.plane.listen("http", self._listening)

    @property
    def is_accepting(self) -> list[bool]:
        """Of each port, whether it is read."""
        return [port.is_reading for port in self.reactor.ports]

    def client(self, peer: str = "198.51.100.7") -> Transport:
        """A new client."""
        protocol = self._factory.buildProtocol(IPv4Address("TCP", peer, 40000))
        return Transport(self.reactor, protocol)

    def ask(self, request: bytes = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n") -> Transport:
        """A new client that has asked."""
        client = self.client()
        client.deliver(request)
        return client

    @property
    def dials(self) -> list[tuple[str, int]]:
        """Addresses that connections were opened to."""
        return [(host, port) for host, port, *_ in self.reactor.tcpClients]

    def accept(self, unread: bytes | None = None) -> Transport:
        """
        Let the instance accept the oldest connection that is being opened.

        Args:
            unread: what it has said by then, see `Transport.leave_unread`.
        """
        return Transport(self.reactor, self._next_connector().connected(), unread)

    def refuse(self) -> None:
        """Let opening the oldest connection that is being opened fail."""
        self._next_connector().failed(ConnectionLost())

    def _next_connector(self) -> Connector:
        while True:
            connector: Connector = self.reactor.connectors[self._dialed]
            self._dialed += 1
            if connector.state != "disconnected":
                return connector

    def advance(self, seconds: float) -> None:
        """Let time pass, sweep by sweep."""
        self.reactor.pump([0.1] * round(seconds * 10))

    def settle(self) -> None:
        """Let what was put off happen, without time passing."""
        self.reactor.advance(0)

    def counters(self) -> dict[str, Any]:
        return self.plane.counters()

    def close(self) -> None:
        self.plane.stop()
        self.settle()
        self._listening.close()
        assert not self.reactor.getDelayedCalls(), self.reactor.getDelayedCalls()
        counters = self.counters()
        for name in ("in_flight_now", "connections_now", "opening_now", "tunnels_now"):
            assert counters[name] == 0, name
        assert not any(map(any, counters["pools_now"].values())), counters["pools_now"]


def make_rig(*more: Entity, **settings: Any) -> Rig:
    """A rig that forwards everything to one instance."""
    return Rig(*plain(*more), **settings)


OK = b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def head_of(answer: bytes) -> dict[bytes, bytes]:
    """The headers, by lower-case name, of one head; repeated ones joined."""
    headers: dict[bytes, bytes] = {}
    for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        key = name.lower()
        headers[key] = headers[key] + b", " + value if key in headers else value
    return headers


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]
