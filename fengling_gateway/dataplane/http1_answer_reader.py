"""Answers on a connection to an instance: bytes in, an exchange told of them.

Reading is strict: an answer that is malformed, shorter or longer than it says,
or comes without a question makes the connection useless, and it is discarded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from fengling_gateway.dataplane import http1_answer_phases as phases
from fengling_gateway.dataplane.http1_request_writer import RequestWriter
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.http.chunked import ChunkedDecoder
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import CHUNKED, UNTIL_CLOSE, response_framing
from fengling_gateway.http.head import HeadError
from fengling_gateway.http.headers import NO_PAIRS, Pair
from fengling_gateway.http.response_head import ResponseHead, parse_response_head

if TYPE_CHECKING:
    from fengling_gateway.dataplane.exchange import Exchange
    from fengling_gateway.dataplane.tunnel import Tunnel

_log = Logger()

_IDLE: Final = phases.IDLE
_HEAD: Final = phases.HEAD
_LENGTH: Final = phases.LENGTH
_CHUNKS: Final = phases.CHUNKS
_UNTIL_CLOSE: Final = phases.UNTIL_CLOSE
_TUNNEL: Final = phases.TUNNEL
_CLOSED: Final = phases.CLOSED


class AnswerReader(RequestWriter):
    """
    Reads one answer after the other; `UpstreamConnection` has the connection's life.

    Attributes:
        is_reused: whether the connection has carried another exchange before this one.
    """

    __slots__ = (
        "_decoder",
        "_exchange",
        "_idle_seconds",
        "_is_blocked",
        "_keep_alive",
        "_left",
        "_phase",
        "_raw",
        "_tunnel",
        "is_reused",
    )

    def __init__(self, plane: PlaneState) -> None:
        super().__init__(plane)
        self._exchange: Exchange | None = None
        self._phase = _IDLE
        self._raw = b""
        self._left = 0
        self._decoder: ChunkedDecoder | None = None
        self._keep_alive = False
        self._is_blocked = False
        self._idle_seconds = -1
        self._tunnel: Tunnel | None = None
        self.is_reused = False

    def discard(self) -> None:
        """Break off because of what either side did; what is buffered is dropped."""
        raise NotImplementedError

    def _said_unasked(self) -> None:
        """Discard an idle connection that has said something."""
        raise NotImplementedError

    def _part(self) -> None:
        """Close the connection, or pass it on."""
        raise NotImplementedError

    def _read(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            # Said without being asked: whatever it is, it answers no request.
            self._said_unasked()
            return
        if self._phase == _HEAD:
            if self._raw:
                data = self._raw + data
                self._raw = b""
            data = self._read_heads(exchange, data)
            if self._exchange is None or self._phase == _HEAD:
                return
        if self._tunnel is not None:
            if data:
                self._tunnel.instance_data(data)
        else:
            self._read_body(exchange, data)

    def _read_body(self, exchange: Exchange, data: bytes) -> None:
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
            if self._tunnel is not None:
                return data
        self._begin_body(exchange, head)
        return data

    def _begin_body(self, exchange: Exchange, head: ResponseHead) -> None:
        framing = response_framing(
            head.status, self._method, head.content_length, chunked=head.chunked
        )
        self._keep_alive = head.keep_alive
        self._idle_seconds = head.idle_seconds
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
        if pieces:
            exchange.response_data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if decoder.is_done:
            self._left = -1 if decoder.rest else 0

    def _ended(self, exchange: Exchange) -> None:
        """Part from the exchange: all of its answer has been read, or more than that."""
        if self._left < 0:
            self._fail(ForwardError.RESPONSE_TOO_LONG)
            return
        self._exchange = None
        decoder, self._decoder = self._decoder, None
        self._phase = _IDLE
        try:
            self._part()
        except Exception:
            # Whoever has the connection by now, it is not the one whose answer has ended.
            _log.failure(
                "{connection} could not be passed on",
                connection=self,
                log_id="exchange.not_passed_on",
            )
            self._fail(ForwardError.INTERNAL_ERROR)
        self._tell_end(exchange, NO_PAIRS if decoder is None else decoder.trailers)

    def _tell_end(self, exchange: Exchange, trailers: list[Pair]) -> None:
        """Tell an exchange that its answer has ended. Its faults are not the connection's."""
        try:
            exchange.response_ended(trailers)
        except Exception:
            _log.failure("The end of an answer could not be told", log_id="exchange.end_failed")
            exchange.downstream.fault(exchange)

    def _fail(self, error: ForwardError) -> None:
        """Break off because of what the instance sent."""
        exchange, self._exchange = self._exchange, None
        is_reused = self.is_reused
        self.discard()
        if exchange is not None:
            exchange.upstream_failed(error, is_reused=is_reused)
