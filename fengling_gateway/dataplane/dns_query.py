"""One question to the DNS servers of this host: datagrams, and a stream for what is too long.

Sockets of its own, and no part of `twisted.names.client`, whose lookups can't be
cancelled: see the decision note.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.protocol import ClientFactory
from twisted.protocols.basic import Int16StringReceiver

from fengling_gateway.dataplane.dns_configuration import Server
from fengling_gateway.dataplane.dns_message import Truncated, question, read_answer
from fengling_gateway.dataplane.dns_outcome import Outcome, Unknown

RESEND_SECONDS: Final = 0.5
"""After so long without an answer, the next server is asked, or the same one again."""

SILENT_SECONDS: Final = 30.0
"""For so long, a server that did not answer is asked after the others."""

MAX_DATAGRAM_BYTES: Final = 65535


class Servers:
    """Remembers which servers are silent, so that not every question waits for them."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._silent: dict[Server, float] = {}

    def in_order(self, servers: Sequence[Server]) -> list[Server]:
        """Return servers in the order to ask them: as configured, silent ones last."""
        now = self._seconds()
        self._silent = {one: until for one, until in self._silent.items() if now < until}
        return sorted(servers, key=lambda one: one in self._silent)

    def silent(self, server: Server) -> None:
        """Note that a server did not answer while another one did."""
        self._silent[server] = self._seconds() + SILENT_SECONDS


class Query:
    """
    Asks for the addresses of one kind that one name has, until somebody can tell.

    A server that answers with an error, or is not there, is not asked again. There is no end
    to it while one is silent: whoever has begun it cancels it.

    Args:
        done: is told the outcome, once; not from within `start`, and not after `cancel`.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        servers: Servers,
        order: Sequence[Server],
        name: str,
        kind: int,
        done: Callable[[Outcome], None],
    ) -> None:
        self._reactor = reactor
        self._servers = servers
        self._order = order
        self._name = name
        self._kind = kind
        self._done = done
        # Unforeseeable: whoever guesses it could answer in the server's place.
        self._number = secrets.randbelow(1 << 16)
        self._asked: dict[Server, _Datagrams] = {}
        self._failed: dict[Server, str] = {}
        self._streams: dict[Server, _Stream] = {}
        self._tries = 0
        self._call: Any = None

    def __repr__(self) -> str:
        return f"<Query {self._name} kind={self._kind} tries={self._tries}>"

    def start(self) -> None:
        self._call = self._reactor.callLater(0, self._ask_next)

    def cancel(self) -> None:
        """Ask no more, and close everything."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        for datagrams in self._asked.values():
            datagrams.close()
        for stream in self._streams.values():
            stream.close()
        self._asked, self._streams = {}, {}

    def _ask_next(self) -> None:
        self._call = None
        left = [one for one in self._order if one not in self._failed]
        if not left:
            self._end(Unknown(next(iter(self._failed.values()), "there is no DNS server")))
            return
        server = left[self._tries % len(left)]
        self._tries += 1
        self._call = self._reactor.callLater(RESEND_SECONDS, self._ask_next)
        if server in self._streams:
            return
        try:
            self._datagrams(server).send(question(self._number, self._name, self._kind))
        except OSError as error:
            self.failed(server, cannot_ask(server, error))

    def _datagrams(self, server: Server) -> _Datagrams:
        known = self._asked.get(server)
        if known is None:
            known = self._asked[server] = _Datagrams(self._reactor, server, self)
        return known

    def heard(self, server: Server, data: bytes) -> None:
        """Take what a server says."""
        answer = read_answer(data, self._number, self._name, self._kind)
        if answer is None:
            return
        if isinstance(answer, Truncated):
            self._ask_by_stream(server)
        elif isinstance(answer, Unknown):
            self.failed(server, answer.reason)
        else:
            for other in self._asked.keys() - self._failed.keys() - {server}:
                self._servers.silent(other)
            self._end(answer)

    def _ask_by_stream(self, server: Server) -> None:
        if server in self._streams:
            return
        data = question(self._number, self._name, self._kind)
        stream = self._streams[server] = _Stream(server, self, data)
        stream.connect(self._reactor)

    def failed(self, server: Server, reason: str) -> None:
        """Ask another server at once; this one can't tell."""
        if server in self._failed:
            return
        self._failed[server] = reason
        datagrams = self._asked.pop(server, None)
        if datagrams is not None:
            datagrams.close()
        if self._call is not None:
            self._call.cancel()
        self._call = self._reactor.callLater(0, self._ask_next)

    def _end(self, outcome: Outcome) -> None:
        self.cancel()
        self._done(outcome)


def cannot_ask(server: Server, error: OSError) -> str:
    """Say why a server can't be asked."""
    return f"the DNS server {server[0]} can't be asked: {error.strerror}"


class _Datagrams:
    """A UDP socket for one server: the kernel drops what others send, and says if nobody is there."""

    def __init__(self, reactor: Any, server: Server, query: Query) -> None:
        self._reactor = reactor
        self._server = server
        self._query = query
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(server)
            reactor.addReader(self)
        except BaseException:
            self._socket.close()
            raise

    def send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except BlockingIOError:
            pass  # as if it had been lost on its way

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()

    # What Twisted calls

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "dns"

    def doRead(self) -> None:
        try:
            data = self._socket.recv(MAX_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(error)
            return
        self._query.heard(self._server, data)

    def connectionLost(self, reason: Any) -> None:
        """Hear from a reactor that does not read what is broken."""
        if self._socket.fileno() >= 0:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._failed(OSError(number, os.strerror(number)))

    def _failed(self, error: OSError) -> None:
        self.close()
        self._query.failed(self._server, cannot_ask(self._server, error))


class _Stream(ClientFactory):
    """A TCP connection for one question."""

    noisy = False

    def __init__(self, server: Server, query: Query, data: bytes) -> None:
        self._server = server
        self._query: Query | None = query
        self.data = data
        self._connector: Any = None

    def connect(self, reactor: Any) -> None:
        no_timeout: Any = None  # whoever cancels the query cancels this
        self._connector = reactor.connectTCP(*self._server, self, no_timeout)

    def close(self) -> None:
        self._query = None
        connector = self._connector
        if connector is not None and connector.state == "connected":
            connector.transport.abortConnection()
        elif connector is not None:
            connector.disconnect()

    def heard(self, data: bytes) -> None:
        if self._query is not None:
            self._query.heard(self._server, data)

    def buildProtocol(self, addr: Any) -> Any:
        return _Messages(self)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self._connector = None
        self._ended()

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self._connector = None
        self._ended()

    def _ended(self) -> None:
        if self._query is not None:
            self._query.failed(self._server, "the DNS server does not answer by TCP")


class _Messages(Int16StringReceiver):
    """Asks, and listens."""

    MAX_LENGTH = 65535

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def connectionMade(self) -> None:
        self.sendString(self._stream.data)

    def stringReceived(self, string: bytes) -> None:
        self._stream.heard(string)
