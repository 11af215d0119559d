"""HTTP/1.1 towards a client: the life of a connection, from accept to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from fengling_gateway.dataplane import http1_request_phases as phases
from fengling_gateway.dataplane.exchange import Exchange
from fengling_gateway.dataplane.http1_request_reader import RequestReader
from fengling_gateway.dataplane.listener import Peer
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.dataplane.transports import UNKNOWN, backlog, has_unsent
from fengling_gateway.http.chunked import LAST_CHUNK, last_chunk
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.headers import Pair

_log = Logger()

_READING_HEAD: Final = phases.READING_HEAD
_READING_BODY: Final = phases.READING_BODY
_ANSWERING: Final = phases.ANSWERING
_TUNNEL: Final = phases.TUNNEL
_LINGERING: Final = phases.LINGERING
_CLOSED: Final = phases.CLOSED

_LINE_END: Final = b"\r\n"

LINGER_SECONDS: Final = 1.0
LINGER_BYTES: Final = 64 * 1024
"""How long, and how much, is read from a client that has been given its last answer."""

CLOSE_SECONDS: Final = 30.0
"""How long a client may read nothing of its last answer; then the connection is aborted."""


class DownstreamConnection(RequestReader):
    """
    A client's connection.

    Twisted drives it as a protocol, and as the producer of what is sent on it;
    an exchange sees it as its `DownstreamStream`.
    """

    __slots__ = ("_backlog", "_on_closed")

    def __init__(
        self,
        plane: PlaneState,
        peer: Peer,
        on_closed: Callable[[DownstreamConnection], None],
    ) -> None:
        """
        Args:
            on_closed: called with the connection once it is closed.
        """
        super().__init__(plane, peer)
        self._on_closed = on_closed
        self._backlog = UNKNOWN

    def __repr__(self) -> str:
        return f"<DownstreamConnection {self._peer.name} phase={self._phase} served={self._served}>"

    # What Twisted calls

    def makeConnection(self, transport: Any) -> None:
        """Take the transport: a client has connected."""
        self._transport = transport
        transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        plane = self._plane
        plane.counters.connections_now += 1
        plane.sweeper.items.add(self)
        self.deadline = plane.sweeper.now + self._peer.listener.header_deadline

    def dataReceived(self, data: bytes) -> None:
        """Read what the client sends."""
        self._plane.counters.bytes_received += len(data)
        try:
            self._read(data)
        except Exception:
            _log.failure(
                "A request on {connection} could not be served",
                connection=self,
                log_id="exchange.failed",
            )
            self._internal_error()

    def readConnectionLost(self) -> None:
        """Note that the client will send no more; it may still be reading."""
        self._is_half_closed = True
        exchange = self._exchange
        if self._phase == _READING_BODY and exchange is not None:
            # The rest of the request will never come.
            exchange.request_malformed()
        elif self._phase == _TUNNEL and self._tunnel is not None:
            self._tunnel.client_ended(getattr(self._transport, "was_truncated", False))
        elif self._phase != _ANSWERING and not (self._raw and self._is_blocked):
            self._close_half_closed()

    def writeConnectionLost(self) -> None:
        """Note that our last byte has left."""

    def connectionLost(self, reason: Failure) -> None:
        """Note that the connection is closed."""
        self._phase = _CLOSED
        self.deadline = NEVER
        self._plane.counters.connections_now -= 1
        self._plane.sweeper.items.discard(self)
        self._out = []
        self._raw = b""
        exchange, self._exchange = self._exchange, None
        tunnel = self._tunnel
        try:
            if tunnel is not None and exchange is not None and reason.check(ConnectionDone):
                tunnel.side_closed()
            elif exchange is not None:
                exchange.client_gone()
        finally:
            self._on_closed(self)

    def pauseProducing(self) -> None:
        """Hear from the transport that enough is buffered."""
        self._is_blocked = True
        self._backlog = backlog(self._transport)
        exchange = self._exchange
        if exchange is not None:
            exchange.downstream_blocked()

    def resumeProducing(self) -> None:
        """Hear from the transport that the buffer has drained."""
        self._is_blocked = False
        exchange = self._exchange
        if exchange is not None:
            exchange.downstream_unblocked()
        elif self._phase == _READING_HEAD and (self._raw or self._is_half_closed):
            self._read_kept()

    def stopProducing(self) -> None:
        """Hear from the transport that it is closed; `connectionLost` says so too."""

    def deadline_passed(self, now: float) -> None:
        """Act on the deadline of whatever is going on."""
        exchange = self._exchange
        if exchange is not None:
            exchange.deadline_passed(now)
        elif self._phase == _READING_HEAD and self._raw:
            self._refuse(ForwardError.HEADER_TIMEOUT, b"")
        elif self._phase in {_READING_HEAD, _LINGERING}:
            self._close_now()
        elif self.has_moved():
            self.deadline = now + CLOSE_SECONDS
        else:
            self.deadline = NEVER
            self._phase = _CLOSED
            self._transport.abortConnection()

    # Answering: what an exchange calls, beside what `AnswerWriter` has

    def _is_last(self) -> bool:
        # Answered before it was asked to the end: the rest is not worth reading.
        plane = self._plane
        return self._phase == _READING_BODY or plane.is_draining or plane.is_shedding

    def send_end(self, trailers: list[Pair]) -> None:
        if self._chunks_out:
            self._out.append(last_chunk(trailers) if trailers else LAST_CHUNK)
        self.flush()
        self._exchange = None
        self._head = None
        self._decoder = None
        if self._close_after:
            self._close()
            return
        self._phase = _READING_HEAD
        self.deadline = self._plane.sweeper.now + self._peer.listener.keepalive_idle
        if self._is_paused:
            self.resume()
        if not self._is_reading and not self._is_blocked and (self._raw or self._is_half_closed):
            self._read_kept()

    def half_close(self) -> None:
        self.flush()
        self._transport.unregisterProducer()
        self._transport.loseWriteConnection()

    def close_tunnel(self) -> None:
        self._exchange = None
        self._tunnel = None
        self.flush()
        self._close_now()

    def abort(self, error: ForwardError) -> None:
        self._exchange = None
        self._phase = _CLOSED
        self._transport.abortConnection()

    def fault(self, exchange: Exchange) -> None:
        try:
            exchange.fail(ForwardError.INTERNAL_ERROR)
        finally:
            if self._exchange is exchange and self._phase != _CLOSED:
                # It was over, or could not be told. It hears when the connection is closed.
                self._phase = _CLOSED
                self._transport.abortConnection()

    def has_moved(self) -> bool:
        before, self._backlog = self._backlog, backlog(self._transport)
        return UNKNOWN < self._backlog < before

    # Ends

    def idle_since(self) -> float:
        """Return since when no request is under way, on the sweeper's clock; `NEVER` if one is."""
        if self._exchange is not None or self._phase != _READING_HEAD or self._raw:
            return NEVER
        listener = self._peer.listener
        timeout = listener.keepalive_idle if self._served else listener.header_deadline
        return self.deadline - timeout

    def close_idle(self, idle_since: float) -> bool:
        """Close if no request is under way, and has not been since then; return whether it does."""
        if self.idle_since() > idle_since:
            return False
        self._close_now()
        return True

    def break_off(self, error: ForwardError) -> None:
        """Fail the exchange that is under way, if any, and close; called again, abort."""
        self._close_after = True
        exchange = self._exchange
        if exchange is not None:
            exchange.fail(error)
            if self._phase == _LINGERING:
                self._close_now()
        elif self._phase in {_READING_HEAD, _LINGERING}:
            self._close_now()
        else:
            self._phase = _CLOSED
            self._transport.abortConnection()

    def _internal_error(self) -> None:
        self._is_reading = False
        exchange = self._exchange
        if exchange is not None:
            self.fault(exchange)
        elif self._phase != _CLOSED:
            self._phase = _CLOSED
            self._transport.abortConnection()

    def _close(self) -> None:
        """Close after the answer has left, having read what is still on its way to us."""
        if (self._phase == _ANSWERING and not self._raw) or self._is_half_closed:
            self._close_now()
            return
        self._phase = _LINGERING
        self._left = LINGER_BYTES
        self._raw = b""
        self.deadline = self._plane.sweeper.now + LINGER_SECONDS
        self._stopped_reading = self._is_paused = False
        self._update_reading()
        self._transport.unregisterProducer()
        self._transport.loseWriteConnection()

    def _close_half_closed(self) -> None:
        """Close, since the client will ask nothing more; a head that it has begun is none."""
        if self._phase == _READING_HEAD and self._raw.strip(_LINE_END):
            self._refuse(ForwardError.MALFORMED_REQUEST, b"")
        else:
            self._close_now()

    def _close_now(self) -> None:
        self._phase = _CLOSED
        self.deadline = self._plane.sweeper.now + CLOSE_SECONDS
        if has_unsent(self._transport):
            self._backlog = backlog(self._transport)
        self._transport.unregisterProducer()
        self._transport.loseConnection()


# Not by a decorator: a compiled class takes none.
classImplements(DownstreamConnection, IPushProducer, IHalfCloseableProtocol)
