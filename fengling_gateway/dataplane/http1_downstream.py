"""HTTP/1.1 towards a client: one connection, its requests one after another.

A connection is in one of these phases:

``READING_HEAD``
    between requests, or in the middle of a head. The deadline is that of
    keep-alive or, from a head's first byte on, that of the head.
``READING_BODY``
    an exchange runs, and its request is still arriving.
``ANSWERING``
    an exchange runs, and its request is complete. What the client sends now is
    the next request: it stays raw, and reading stops when there is too much.
``LINGERING``
    the last answer has been given. What still arrives is read and dropped for a
    moment, because closing on unread bytes makes the client's system throw the
    answer away.
``CLOSED``
    nothing more happens.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from fengling_gateway.dataplane import answers
from fengling_gateway.dataplane.exchange import Exchange
from fengling_gateway.dataplane.http1_answers import AnswerWriter
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.dataplane.transports import UNKNOWN, backlog, has_unsent
from fengling_gateway.http.chunked import LAST_CHUNK, ChunkedDecoder
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import CHUNKED, NO_BODY
from fengling_gateway.http.head import HeadError, RequestHead, parse_request_head
from fengling_gateway.http.headers import Pair

_log = Logger()

_READING_HEAD, _READING_BODY, _ANSWERING, _LINGERING, _CLOSED = 0, 1, 2, 3, 4

_LINE_END: Final = b"\r\n"

LINGER_SECONDS: Final = 1.0
LINGER_BYTES: Final = 64 * 1024
"""How long, and how much, is read from a client that has been given its last answer."""

CLOSE_SECONDS: Final = 30.0
"""How long a client may read nothing of its last answer; then the connection is aborted."""


class DownstreamConnection(AnswerWriter):
    """
    A client's connection.

    Twisted drives it as a protocol, and as the producer of what is sent on it;
    an exchange sees it as its `DownstreamStream`.
    """

    __slots__ = (
        "_backlog",
        "_decoder",
        "_exchange",
        "_has_begun_head",
        "_is_blocked",
        "_is_half_closed",
        "_is_paused",
        "_is_reading",
        "_is_trusted",
        "_left",
        "_listener",
        "_may_serve",
        "_on_closed",
        "_peer",
        "_peer_name",
        "_phase",
        "_raw",
        "_scheme",
        "_served",
        "_stopped_reading",
        "_trust",
        "deadline",
    )

    def __init__(self, plane: PlaneState, listener: str, peer: str, on_closed: Any) -> None:
        """
        Args:
            peer: the client's address.
            on_closed: called with the connection once it is closed.
        """
        super().__init__(plane)
        self._listener = listener
        self._peer_name = peer
        self._peer = peer.encode()
        self._scheme = b"http"
        self._on_closed = on_closed
        self._trust: Any = None
        self._is_trusted = False
        self._phase = _READING_HEAD
        self._raw = b""
        self._left = 0
        self._backlog = UNKNOWN
        self._decoder: ChunkedDecoder | None = None
        self._exchange: Exchange | None = None
        self._has_begun_head = False
        self._is_reading = False
        self._is_paused = False
        self._is_blocked = False
        self._is_half_closed = False
        self._stopped_reading = False
        self._served = 0
        self._may_serve = request_limit(plane)
        self.deadline = NEVER

    def __repr__(self) -> str:
        return f"<DownstreamConnection {self._peer_name} phase={self._phase} served={self._served}>"

    # What Twisted calls

    def makeConnection(self, transport: Any) -> None:
        """Take the transport: a client has connected."""
        self._transport = transport
        transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        plane = self._plane
        plane.counters.connections_accepted += 1
        plane.counters.connections_now += 1
        plane.sweeper.items.add(self)
        self.deadline = plane.sweeper.now + plane.settings.header_deadline

    def dataReceived(self, data: bytes) -> None:
        """Read what the client sends."""
        self._plane.counters.bytes_received += len(data)
        try:
            self._read(data)
        except Exception:
            _log.failure("A request on {connection} could not be served", connection=self)
            self._internal_error()

    def readConnectionLost(self) -> None:
        """Note that the client will send no more; it may still be reading."""
        self._is_half_closed = True
        exchange = self._exchange
        if self._phase == _READING_BODY and exchange is not None:
            # The rest of the request will never come.
            exchange.request_malformed()
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
        try:
            if exchange is not None:
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

    # Reading requests

    def _read(self, data: bytes) -> None:
        phase = self._phase
        if phase == _READING_HEAD:
            if self._raw:
                data = self._raw + data
                self._raw = b""
            if self._is_blocked:
                self._keep(data)
            else:
                self._read_heads(data)
        elif phase == _READING_BODY:
            self._read_body(data)
        elif phase == _ANSWERING:
            self._keep(self._raw + data if self._raw else data)
        elif phase == _LINGERING:
            self._left -= len(data)
            if self._left < 0:
                # The client may still read its answer; the deadline ends it.
                self._transport.pauseProducing()

    def _keep(self, data: bytes) -> None:
        """Keep what belongs to the next request; more than a bound is left to the client."""
        self._raw = data
        if len(data) >= self._plane.settings.high_water_bytes:
            self._stopped_reading = True
            self._update_reading()

    def _read_kept(self) -> None:
        """Go on with what was kept."""
        raw, self._raw = self._raw, b""
        try:
            if self._stopped_reading:
                self._stopped_reading = False
                self._update_reading()
            self._read_heads(raw)
        except Exception:
            # Here, because whoever told of an answer's end has nothing to do with it.
            _log.failure("A request on {connection} could not be served", connection=self)
            self._internal_error()

    def _read_heads(self, data: bytes) -> None:
        """Begin the exchanges whose heads are in `data`, as long as each ends at once."""
        self._is_reading = True
        while data:
            if data[0] in _LINE_END:
                data = self._skip_empty_lines(data)
                continue
            end = data.find(b"\r\n\r\n") + 4
            if end == 3:
                self._head_incomplete(data)
                break
            if end < len(data):
                data, self._raw = data[:end], data[end:]
            self._begin(data)
            if self._phase == _READING_BODY:
                data, self._raw = self._raw, b""
                self._read_body(data)
                break
            if self._phase != _READING_HEAD or self._is_blocked:
                if self._raw:
                    self._keep(self._raw)
                break
            data, self._raw = self._raw, b""
        self._is_reading = False
        if self._is_half_closed and self._phase == _READING_HEAD and not self._is_blocked:
            self._close_half_closed()

    def _skip_empty_lines(self, data: bytes) -> bytes:
        """Return what follows the empty lines before a request (RFC 9112, 2.2)."""
        rest = data.lstrip(b"\r\n")
        odd = data[: len(data) - len(rest)].replace(b"\r\n", b"")
        if not odd:
            return rest
        if odd == b"\r" and not rest:
            self._raw = odd
        else:
            self._refuse(ForwardError.MALFORMED_REQUEST, b"")
        return b""

    def _head_incomplete(self, data: bytes) -> None:
        """Keep a head's beginning, unless it can already be refused."""
        if len(data) > self._plane.limits.head_bytes:
            is_target = b"\r\n" not in data
            self._refuse(
                ForwardError.TARGET_TOO_LONG if is_target else ForwardError.HEADERS_TOO_LARGE, b""
            )
        elif b"\r\n" not in data and len(data) > self._plane.limits.target_bytes + 64:
            self._refuse(ForwardError.TARGET_TOO_LONG, b"")
        elif data.count(b"\n") != data.count(b"\r\n"):
            self._refuse(ForwardError.MALFORMED_REQUEST, b"")
        else:
            if not self._has_begun_head:
                # From the first byte on, and not from the last; a connection's
                # first head has had this deadline since the connection was made.
                self._has_begun_head = True
                if self._served:
                    self.deadline = self._plane.sweeper.now + self._plane.settings.header_deadline
            self._raw = data

    def _begin(self, raw: bytes) -> None:
        """Begin the exchange of the request whose head is `raw`."""
        plane = self._plane
        if self._trust is not plane.trust:
            self._trust = plane.trust
            self._is_trusted = plane.is_trusted(self._peer_name)
        head = RequestHead(self._listener, self._peer_name, self._is_trusted)
        self._head = head
        try:
            parse_request_head(raw, head, plane.roles, plane.limits)
        except HeadError as error:
            self._refuse(error.error, head.method)
            return
        framing = head.framing
        self._has_begun_head = False
        self._has_sent = False
        self._served += 1
        self._close_after = not head.keep_alive or self._served >= self._may_serve
        if framing in {NO_BODY, 0}:
            self._phase = _ANSWERING
        else:
            self._phase = _READING_BODY
            self._left = framing
            self._decoder = ChunkedDecoder() if framing == CHUNKED else None
        exchange = Exchange(plane, self, head, self._peer, self._scheme)
        self._exchange = exchange
        exchange.begin()

    def _read_body(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if self._decoder is not None:
            self._read_chunks(exchange, self._decoder, data)
        elif data:
            left = self._left
            if len(data) > left:
                data, rest = data[:left], data[left:]
                self._keep(rest)
            self._left = left - len(data)
            exchange.request_data(data)
            if not self._left:
                self._request_ended(exchange)
        exchange.request_flush()

    def _read_chunks(self, exchange: Exchange, decoder: ChunkedDecoder, data: bytes) -> None:
        try:
            pieces = decoder.feed(data)
        except ValueError:
            exchange.request_malformed()
            return
        for piece in pieces:
            exchange.request_data(piece)
        if decoder.is_done:
            if decoder.rest:
                self._keep(decoder.rest)
            self._request_ended(exchange)

    def _request_ended(self, exchange: Exchange) -> None:
        if self._phase == _READING_BODY:
            self._phase = _ANSWERING
            exchange.request_ended()

    # Answering: what an exchange calls, beside what `AnswerWriter` has

    def _is_last(self) -> bool:
        # Answered before it was asked to the end: the rest is not worth reading.
        return self._phase == _READING_BODY or self._plane.is_draining

    def send_end(self, trailers: list[Pair]) -> None:
        if self._chunks_out:
            self._out.append(LAST_CHUNK)
        self.flush()
        self._exchange = None
        self._head = None
        self._decoder = None
        if self._close_after:
            self._close()
            return
        self._phase = _READING_HEAD
        self.deadline = self._plane.sweeper.now + self._plane.settings.keepalive_idle
        if self._is_paused:
            self.resume()
        if not self._is_reading and not self._is_blocked and (self._raw or self._is_half_closed):
            self._read_kept()

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

    def pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._update_reading()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._update_reading()

    def _update_reading(self) -> None:
        if self._is_paused or self._stopped_reading:
            self._transport.pauseProducing()
        elif not self._is_half_closed:
            self._transport.resumeProducing()

    # Ends

    def close_idle(self, idle_since: float) -> None:
        """Close if no request is under way, and has not been since then (on the sweeper's clock)."""
        if self._exchange is not None or self._phase != _READING_HEAD or self._raw:
            return
        settings = self._plane.settings
        timeout = settings.keepalive_idle if self._served else settings.header_deadline
        if self.deadline - timeout <= idle_since:
            self._close_now()

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

    def _refuse(self, error: ForwardError, method: bytes) -> None:
        """Answer a request that comes to no exchange, and close."""
        plane = self._plane
        self._close_after = True
        self._has_sent = False
        plane.counters.record(("", ""), error.status, 0.0, error)
        pairs, body = answers.problem(plane, plane.revision, error, plane.new_request_id())
        answers.send(self, method, error.status, pairs, body)

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


def request_limit(plane: PlaneState) -> int:
    """Return how many requests a connection may carry: a tenth more or less, lest all end at once."""
    limit = plane.settings.keepalive_requests
    return max(1, round(limit * (0.9 + 0.2 * plane.rng.random())))


# Not by a decorator: a compiled class takes none.
classImplements(DownstreamConnection, IPushProducer, IHalfCloseableProtocol)
