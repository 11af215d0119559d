"""HTTP/1.1 towards an instance: one connection, one exchange at a time.

Reading is strict: an answer that is malformed, shorter or longer than it says,
or comes without a question makes the connection useless, and it is discarded.
"""

from __future__ import annotations

from collections.abc import Callable
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from fengling_gateway.balancing.instance import Instance
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.dataplane.transports import UNKNOWN, backlog, has_unsent
from fengling_gateway.http.chunked import LAST_CHUNK, ChunkedDecoder
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import CHUNKED, NO_BODY, UNTIL_CLOSE, response_framing
from fengling_gateway.http.head import HeadError
from fengling_gateway.http.headers import Pair
from fengling_gateway.http.response_head import ResponseHead, parse_response_head

if TYPE_CHECKING:
    from fengling_gateway.dataplane.exchange import Exchange
    from fengling_gateway.dataplane.pool import UpstreamPool

_log = Logger()

CLOSE_SECONDS: Final = 5.0
"""How long closing in peace may take: the instance may be deaf, or not take part in ending TLS."""

_IDLE, _HEAD, _LENGTH, _CHUNKS, _UNTIL_CLOSE, _CLOSED = 0, 1, 2, 3, 4, 5


class UpstreamConnection:
    """
    A connection to an instance.

    Twisted drives it as a protocol, and as the producer of what is sent on it.

    Attributes:
        instance: whom it leads to, as configured when it was opened.
        deadline: on the sweeper's clock, for closing.
        idle_since: on the sweeper's clock.
        is_reused: whether it has carried another exchange before this one.
    """

    __slots__ = (
        "_backlog",
        "_connector",
        "_decoder",
        "_exchange",
        "_has_body",
        "_is_blocked",
        "_is_paused",
        "_keep_alive",
        "_left",
        "_method",
        "_out",
        "_phase",
        "_plane",
        "_pool",
        "_raw",
        "_request_ended",
        "_sends_chunks",
        "_transport",
        "_unread",
        "_uses",
        "deadline",
        "idle_since",
        "instance",
        "is_reused",
    )

    def __init__(self, pool: UpstreamPool, plane: PlaneState, instance: Instance) -> None:
        self._pool = pool
        self._plane = plane
        self.instance = instance
        self._exchange: Exchange | None = None
        self._transport: Any = None
        self._connector: Any = None
        self._phase = _IDLE
        self._raw = b""
        self._left = 0
        self._backlog = UNKNOWN
        self._out: list[bytes] = []
        self._method = b""
        self._decoder: ChunkedDecoder | None = None
        self._keep_alive = False
        self._request_ended = False
        self._sends_chunks = False
        self._is_paused = False
        self._has_body = False
        self._is_blocked = False
        self._unread: Callable[[int], list[Any]] | None = None
        self._uses = 0
        self.is_reused = False
        self.idle_since = 0.0
        self.deadline = NEVER

    def __repr__(self) -> str:
        return f"<UpstreamConnection {self.instance.id} uses={self._uses} phase={self._phase}>"

    # Opening

    def dial(self, exchange: Exchange) -> None:
        """Open the connection; the pool is told how it went."""
        self._exchange = exchange
        self._connector = self._plane.dial(self)

    def cancel(self) -> None:
        """Stop opening it."""
        self._exchange = None
        if self._connector is not None:
            self._connector.disconnect()

    def makeConnection(self, transport: Any) -> None:
        """Take the transport: the connection is open."""
        self._transport = transport
        self._connector = None
        transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        if self.instance.scheme != "https":
            # Whose socket may hold a record that says nothing, such as a session ticket.
            looker = poll()
            looker.register(transport.getHandle(), POLLIN)
            self._unread = looker.poll
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            self.close()
        else:
            self._pool.connection_made(self, exchange)

    def connect_failed(self) -> None:
        """Note that the connection could not be opened."""
        exchange, self._exchange = self._exchange, None
        self._phase = _CLOSED
        self._connector = None
        if exchange is not None:
            self._pool.connection_failed(exchange)
        self._pool.closed(self)

    # Lending

    def is_alive(self) -> bool:
        """
        Whether the peer has neither hung up nor said anything unasked.

        This asks the socket: what lies there unread would be taken for the
        answer to the next request, whoever's that is. (By poll(2): a look by
        recv(2) costs three times as much, because of its exception.)
        """
        return self._unread is None or not self._unread(0)

    def lend(self, exchange: Exchange) -> None:
        """Serve `exchange` until its answer has ended."""
        self._exchange = exchange
        self._phase = _HEAD
        self._request_ended = False
        self.is_reused = self._uses > 0
        self._uses += 1

    def discard(self) -> None:
        """Break off because of what either side did; what is buffered is dropped."""
        if self._phase != _CLOSED:
            self._phase = _CLOSED
            self._plane.counters.upstream_discarded += 1
            self._transport.abortConnection()

    def close(self) -> None:
        """Close in peace, with nothing left to be sent."""
        if self._phase != _CLOSED:
            self._phase = _CLOSED
            sweeper = self._plane.sweeper
            self.deadline = sweeper.now + CLOSE_SECONDS
            sweeper.items.add(self)
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def deadline_passed(self, now: float) -> None:
        """Break off what could not be closed in peace."""
        self.deadline = NEVER
        self._plane.counters.upstream_discarded += 1
        self._transport.abortConnection()

    # The request: what an exchange calls

    def send_head(
        self, method: bytes, target: bytes, host: bytes, pairs: list[Pair], framing: int
    ) -> None:
        self._method = method
        out = [method, b" ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\n"]
        for name, value in pairs:
            out += (name, b": ", value, b"\r\n")
        self._sends_chunks = framing == CHUNKED
        self._has_body = framing not in {NO_BODY, 0}
        if framing >= 0:
            out.append(b"Content-Length: %d\r\n\r\n" % framing)
        elif framing == CHUNKED:
            out.append(b"Transfer-Encoding: chunked\r\n\r\n")
        else:
            out.append(b"\r\n")
        self._out = out

    def send_data(self, data: bytes) -> None:
        if self._sends_chunks:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def send_end(self, trailers: list[Pair]) -> None:
        self._request_ended = True
        if self._sends_chunks:
            self._out.append(LAST_CHUNK)
        self.flush()

    def flush(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._out = []
            self._plane.counters.upstream_bytes_sent += len(data)
            self._transport.write(data)

    def abort(self) -> None:
        self._exchange = None
        self.discard()

    def has_moved(self) -> bool:
        before, self._backlog = self._backlog, backlog(self._transport)
        return UNKNOWN < self._backlog < before

    def pause(self) -> None:
        if not self._is_paused and self._phase != _CLOSED:
            self._is_paused = True
            self._transport.pauseProducing()

    def resume(self) -> None:
        if self._is_paused and self._phase != _CLOSED:
            self._is_paused = False
            self._transport.resumeProducing()

    # What Twisted calls

    def pauseProducing(self) -> None:
        """Hear from the transport that enough is buffered."""
        self._is_blocked = True
        self._backlog = backlog(self._transport)
        if self._exchange is not None:
            self._exchange.upstream_blocked()

    def resumeProducing(self) -> None:
        """Hear from the transport that the buffer has drained."""
        self._is_blocked = False
        if self._exchange is not None:
            self._exchange.upstream_unblocked()

    def stopProducing(self) -> None:
        """Hear from the transport that it is closed; `connectionLost` says so too."""

    def dataReceived(self, data: bytes) -> None:
        """Read what the instance sends."""
        self._plane.counters.upstream_bytes_received += len(data)
        try:
            self._read(data)
        except HeadError as error:
            self._fail(error.error)
        except Exception:
            _log.failure("The answer on {connection} could not be relayed", connection=self)
            exchange = self._exchange
            self._fail(ForwardError.INTERNAL_ERROR)
            if exchange is not None:
                exchange.downstream.fault(exchange)

    def connectionLost(self, reason: Failure) -> None:
        """Note that the connection is closed."""
        phase, self._phase = self._phase, _CLOSED
        self._plane.sweeper.items.discard(self)
        exchange, self._exchange = self._exchange, None
        self._transport = None
        self._out = []
        self._pool.closed(self)
        if exchange is None:
            return
        if phase == _UNTIL_CLOSE and reason.check(ConnectionDone):
            self._tell_end(exchange)
        elif phase == _HEAD:
            exchange.upstream_failed(self._why_unanswered(), is_reused=self.is_reused)
        else:
            exchange.upstream_failed(ForwardError.RESPONSE_TOO_SHORT, is_reused=self.is_reused)

    def _why_unanswered(self) -> ForwardError:
        if self._raw:
            return ForwardError.MALFORMED_RESPONSE
        return ForwardError.NO_RESPONSE if self._request_ended else ForwardError.REQUEST_SEND_FAILED

    # The answer

    def _read(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            # Said without being asked: whatever it is, it answers no request.
            self._pool.forget(self)
            self.discard()
            return
        if self._phase == _HEAD:
            if self._raw:
                data = self._raw + data
                self._raw = b""
            data = self._read_heads(exchange, data)
            if self._exchange is None or self._phase == _HEAD:
                return
        if not data:
            pass
        elif self._phase == _LENGTH:
            self._left -= len(data)
            if self._left >= 0:
                exchange.response_data(data)
        elif self._decoder is not None:
            self._read_chunks(exchange, self._decoder, data)
        else:
            exchange.response_data(data)
        if self._left > 0 or self._phase == _UNTIL_CLOSE:
            exchange.response_flush()
        else:
            self._ended(exchange)

    def _read_heads(self, exchange: Exchange, data: bytes) -> bytes:
        """Read interim heads and the final one; return what follows it."""
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end > self._plane.limits.head_bytes or (
                end == 3 and len(data) > self._plane.limits.head_bytes
            ):
                raise HeadError(ForwardError.RESPONSE_HEADERS_TOO_LARGE)
            if end == 3:
                self._raw = data
                return b""
            head = parse_response_head(data[:end] if end < len(data) else data, self._plane.limits)
            data = data[end:]
            if head.status >= 200:
                break
            exchange.response_interim(head)
            if self._exchange is None:
                return b""
        self._begin_body(exchange, head)
        return data

    def _begin_body(self, exchange: Exchange, head: ResponseHead) -> None:
        framing = response_framing(
            head.status, self._method, head.content_length, chunked=head.chunked
        )
        self._keep_alive = head.keep_alive
        if framing == CHUNKED:
            self._phase = _CHUNKS
            self._left = 1
            self._decoder = ChunkedDecoder()
        elif framing == UNTIL_CLOSE:
            self._phase = _UNTIL_CLOSE
        else:
            self._phase = _LENGTH
            self._left = max(framing, 0)
        exchange.response_begun(head, framing)

    def _read_chunks(self, exchange: Exchange, decoder: ChunkedDecoder, data: bytes) -> None:
        try:
            pieces = decoder.feed(data)
        except ValueError:
            raise HeadError(ForwardError.MALFORMED_RESPONSE_BODY) from None
        for piece in pieces:
            exchange.response_data(piece)
        if decoder.is_done:
            self._left = -1 if decoder.rest else 0

    def _ended(self, exchange: Exchange) -> None:
        """Part from the exchange: all of its answer has been read, or more than that."""
        if self._left < 0:
            self._fail(ForwardError.RESPONSE_TOO_LONG)
            return
        self._exchange = None
        self._decoder = None
        self._phase = _IDLE
        try:
            self._part()
        except Exception:
            # Whoever has the connection by now, it is not the one whose answer has ended.
            _log.failure("{connection} could not be passed on", connection=self)
            self._fail(ForwardError.INTERNAL_ERROR)
        self._tell_end(exchange)

    def _part(self) -> None:
        """Close the connection, or pass it on."""
        if not self._request_ended or (self._has_body and self._has_unsent()):
            # It has answered without having read everything, and may never do.
            self.discard()
        elif not self._keep_alive:
            self.close()
        else:
            if self._is_paused:
                self.resume()
            self.idle_since = self._plane.sweeper.now
            self._pool.release(self)

    def _has_unsent(self) -> bool:
        return self._is_blocked or has_unsent(self._transport)

    def _tell_end(self, exchange: Exchange) -> None:
        """Tell an exchange that its answer has ended. Its faults are not the connection's."""
        try:
            exchange.response_ended()
        except Exception:
            _log.failure("The end of an answer could not be told")
            exchange.downstream.fault(exchange)

    def _fail(self, error: ForwardError) -> None:
        """Break off because of what the instance sent."""
        exchange, self._exchange = self._exchange, None
        is_reused = self.is_reused
        self.discard()
        if exchange is not None:
            exchange.upstream_failed(error, is_reused=is_reused)


# Not by a decorator: a compiled class takes none.
classImplements(UpstreamConnection, IPushProducer)
