"""TCP transports that send at once.

Twisted's `write` puts data into a buffer, asks the reactor to watch the socket
for writing, and sends in a later turn: two calls of ``epoll_ctl`` and a turn of
the loop for each answer. Nearly always the socket would have taken it all right
away, so these try that first and buffer only what is left.

They are for plain connections. Where that is not so (`startTLS`, a pull
producer), they fall back to Twisted's way, method by method: the only shortcut
is behind one flag, and the flag is cleared.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any, Final, Protocol

from twisted.internet import main, tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import ClientFactory, ServerFactory

from fengling_gateway.dataplane.ports import FastPort

READ_BYTES: Final = 64 * 1024

UNSENT_BYTES: Final = 128 * 1024
"""
What a socket takes beyond what is on its way to the peer.

Without a bound it is up to 4 MiB (``tcp_wmem``) for a peer that does not read, and some
hundreds of those have all memory that the system has for TCP (``tcp_mem``).
"""


class SendAtOnce:
    """
    The shortcut, to be mixed in before a Twisted transport.

    Attributes:
        low_water_bytes: what is left of the buffer when the producer is resumed.
    """

    low_water_bytes = 32 * 1024

    # Whether nothing stands between `write` and the socket. Twisted's own flags
    # would be five look-ups.
    _sends_at_once = True

    # Twisted's, declared for this class.
    socket: socket.socket
    connected: int
    disconnecting: int
    producer: Any
    producerPaused: bool
    streamingProducer: bool
    protocol: Any
    dataBuffer: bytes
    offset: int
    _tempDataLen: int

    def write(self, data: bytes) -> None:
        """Send what the socket takes, and buffer the rest."""
        if not self._sends_at_once:
            self._write_buffered(data)
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except (OSError, AttributeError):
            # The connection is broken or closed; Twisted knows how to find out.
            self._write_buffered(data)
            return
        if sent < len(data):
            self._sends_at_once = False
            self._write_buffered(data[sent:] if sent else data)

    def writeSequence(self, iovec: Any) -> None:
        """Send several pieces as one."""
        self.write(b"".join(iovec))

    def _write_buffered(self, data: bytes) -> None:
        super().write(data)  # type: ignore[misc]

    def doWrite(self) -> Any:
        """Send from the buffer; resume the producer when little is left."""
        result = super().doWrite()  # type: ignore[misc]
        if result is None and self.connected:
            left = len(self.dataBuffer) - self.offset + self._tempDataLen
            if not left:
                self._sends_at_once = self._may_send_at_once()
            elif self.producerPaused and left <= self.low_water_bytes and self.producer is not None:
                self.producerPaused = False
                self.producer.resumeProducing()
        return result

    def doRead(self) -> Any:
        """Read once, and give it to the protocol."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not data:
            return main.CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None

    # Where the shortcut would be wrong

    def _may_send_at_once(self) -> bool:
        is_pulled = self.producer is not None and not self.streamingProducer
        return not (self.disconnecting or is_pulled or getattr(self, "TLS", False))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Register a producer; one that is pulled relies on Twisted's way of sending."""
        if not streaming:
            self._sends_at_once = False
        super().registerProducer(producer, streaming)  # type: ignore[misc]

    def startTLS(self, *args: Any, **kwargs: Any) -> None:
        """Start TLS; from here on nothing may pass it by."""
        self._sends_at_once = False
        self.doRead = super().doRead  # type: ignore[method-assign, misc]
        super().startTLS(*args, **kwargs)  # type: ignore[misc]

    def loseConnection(self, *args: Any) -> None:
        """Close when the buffer is empty; nothing may be sent any more."""
        self._sends_at_once = False
        super().loseConnection(*args)  # type: ignore[misc]

    def loseWriteConnection(self) -> None:
        """Close for writing when the buffer is empty."""
        self._sends_at_once = False
        super().loseWriteConnection()  # type: ignore[misc]

    def abortConnection(self) -> None:
        """Break the connection off."""
        self._sends_at_once = False
        super().abortConnection()  # type: ignore[misc]

    def connectionLost(self, reason: Any) -> None:
        """Note that the connection is closed."""
        self._sends_at_once = False
        super().connectionLost(reason)  # type: ignore[misc]


class FastServer(SendAtOnce, tcp.Server):
    """A client's connection to us."""


class FastClient(SendAtOnce, tcp.Client):
    """Our connection to an instance."""

    def createInternetSocket(self) -> socket.socket:
        """Return a socket of the right family."""
        created: socket.socket = super().createInternetSocket()
        _bound_unsent(created)
        return created


def _bound_unsent(one: socket.socket) -> None:
    """Bound what this socket, and what is accepted from it, takes."""
    with suppress(OSError):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def has_unsent(transport: Any) -> bool:
    """Whether a TCP transport of Twisted's, or the one below, holds what the socket has not taken."""
    transport = getattr(transport, "below", transport)
    return isinstance(transport, FileDescriptor) and _unsent(transport) > 0


def _unsent(transport: Any) -> int:
    return len(transport.dataBuffer) - transport.offset + transport._tempDataLen


UNKNOWN: Final = -1


def backlog(transport: Any) -> int:
    """
    Return how many bytes of what was written the peer's system has not got, by its own account.

    While nothing more is written it falls as the peer reads. Nothing else tells: a full
    socket, which may hold megabytes, takes no more before a third of it is free. `UNKNOWN`
    above Twisted's TLS, and where the system does not count.
    """
    transport = getattr(transport, "below", transport)
    if not isinstance(transport, FileDescriptor):
        return UNKNOWN
    try:
        queued = ioctl(transport.fileno(), TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return UNKNOWN
    return int.from_bytes(queued, sys.byteorder) + _unsent(transport)


class Transports(Protocol):
    """Accepts and opens connections."""

    def listen(self, reactor: Any, listening: socket.socket, factory: ServerFactory) -> Any:
        """Return a port that accepts from a duplicate of a listening socket."""

    def connect(self, reactor: Any, host: str, port: int, factory: ClientFactory) -> Any:
        """Return a connector that opens a connection, without a timer of its own."""


class StockTransports:
    """Twisted's own; their marks for back-pressure are 64 KiB and nothing."""

    def listen(self, reactor: Any, listening: socket.socket, factory: ServerFactory) -> Any:
        _bound_unsent(listening)
        return reactor.adoptStreamPort(listening.fileno(), listening.family, factory)

    def connect(self, reactor: Any, host: str, port: int, factory: ClientFactory) -> Any:
        return reactor.connectTCP(host, port, factory, None)


class FastTransports:
    """Those that send at once."""

    def __init__(self, *, high_water_bytes: int, low_water_bytes: int) -> None:
        # Twisted names its high-water mark bufferSize.
        marks = {"bufferSize": high_water_bytes, "low_water_bytes": low_water_bytes}
        server: Any = type("FastServer", (FastServer,), marks)
        client: Any = type("FastClient", (FastClient,), marks)

        class Port(FastPort):
            transport = server

        class FastConnector(tcp.Connector):
            def _makeTransport(self) -> Any:
                return client(self.host, self.port, self.bindAddress, self, self.reactor)

        self._port = Port
        self._connector = FastConnector

    def listen(self, reactor: Any, listening: socket.socket, factory: ServerFactory) -> Any:
        _bound_unsent(listening)
        family = listening.family
        port: Any = self._port._fromListeningDescriptor(
            reactor, listening.fileno(), family, factory
        )
        port.addressFamily = family
        port._addressType = IPv6Address if family == socket.AF_INET6 else IPv4Address
        port.startListening()
        return port

    def connect(self, reactor: Any, host: str, port: int, factory: ClientFactory) -> Any:
        no_timeout: Any = None
        connector = self._connector(host, port, factory, no_timeout, None, reactor)
        connector.connect()
        return connector
