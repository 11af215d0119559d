"""Requests on a client's connection: bytes in, exchanges begun and fed."""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import Logger

from fengling_gateway.dataplane import answers
from fengling_gateway.dataplane import http1_request_phases as phases
from fengling_gateway.dataplane.debugged_exchange import new_exchange
from fengling_gateway.dataplane.exchange import Exchange
from fengling_gateway.dataplane.http1_answer_writer import AnswerWriter
from fengling_gateway.dataplane.listener import Peer
from fengling_gateway.dataplane.record_keeping import no_request
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.dataplane.tunnel import Tunnel
from fengling_gateway.http.chunked import ChunkedDecoder
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import CHUNKED, NO_BODY
from fengling_gateway.http.head import HeadError, RequestHead, parse_request_head
from fengling_gateway.http.headers import NO_PAIRS, Pair

_log = Logger()

_READING_HEAD: Final = phases.READING_HEAD
_READING_BODY: Final = phases.READING_BODY
_ANSWERING: Final = phases.ANSWERING
_TUNNEL: Final = phases.TUNNEL
_LINGERING: Final = phases.LINGERING
_CLOSED: Final = phases.CLOSED

_LINE_END: Final = b"\r\n"


class RequestReader(AnswerWriter):
    """
    Reads one request after the other; `DownstreamConnection` has the connection's life.

    Attributes:
        deadline: on the sweeper's clock, for whatever is going on.
    """

    __slots__ = (
        "_decoder",
        "_exchange",
        "_expires",
        "_has_begun_head",
        "_is_blocked",
        "_is_half_closed",
        "_is_paused",
        "_is_reading",
        "_left",
        "_may_serve",
        "_peer",
        "_phase",
        "_raw",
        "_served",
        "_stopped_reading",
        "_tunnel",
        "deadline",
    )

    def __init__(self, plane: PlaneState, peer: Peer) -> None:
        super().__init__(plane)
        self._peer = peer
        self._phase = _READING_HEAD
        self._raw = b""
        self._left = 0
        self._decoder: ChunkedDecoder | None = None
        self._exchange: Exchange | None = None
        self._has_begun_head = False
        self._is_reading = False
        self._is_paused = False
        self._is_blocked = False
        self._is_half_closed = False
        self._stopped_reading = False
        self._tunnel: Tunnel | None = None
        self._served = 0
        self._may_serve = round(about(plane, peer.listener.keepalive_requests)) or 1
        self._expires = plane.sweeper.now + about(plane, peer.listener.keepalive_age)
        self.deadline = NEVER

    def _internal_error(self) -> None:
        """Fail whatever is going on by a fault of our own."""
        raise NotImplementedError

    def _close_half_closed(self) -> None:
        """Close, since the client will ask nothing more."""
        raise NotImplementedError

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
        elif phase == _TUNNEL:
            if self._tunnel is not None:
                self._tunnel.client_data(data)
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
            _log.failure(
                "A request on {connection} could not be served",
                connection=self,
                log_id="exchange.failed",
            )
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
        if not rest and odd == b"\r" == data[-1:]:
            self._raw = odd
        else:
            self._refuse(ForwardError.MALFORMED_REQUEST, b"")
        return b""

    def _head_incomplete(self, data: bytes) -> None:
        """Keep a head's beginning, unless it can already be refused."""
        if len(data) > self._peer.listener.limits.head_bytes:
            is_target = b"\r\n" not in data
            self._refuse(
                ForwardError.TARGET_TOO_LONG if is_target else ForwardError.HEADERS_TOO_LARGE, b""
            )
        elif b"\r\n" not in data and len(data) > self._peer.listener.limits.target_bytes + 64:
            self._refuse(ForwardError.TARGET_TOO_LONG, b"")
        elif data.count(b"\n") != data.count(b"\r\n"):
            self._refuse(ForwardError.MALFORMED_REQUEST, b"")
        else:
            if not self._has_begun_head:
                # From the first byte on, and not from the last; a connection's
                # first head has had this deadline since the connection was made.
                self._has_begun_head = True
                if self._served:
                    self.deadline = self._plane.sweeper.now + self._peer.listener.header_deadline
            self._raw = data

    def _begin(self, raw: bytes) -> None:
        """Begin the exchange of the request whose head is `raw`."""
        plane = self._plane
        peer = self._peer
        listener = peer.listener
        head = RequestHead(listener.name, peer.name, peer.is_trusted(plane))
        self._head = head
        try:
            parse_request_head(raw, head, plane.roles, listener.limits)
            if head.forwarded_for is not None:
                head.peer = plane.client_of(head.forwarded_for, peer.name)
        except HeadError as error:
            self._refuse(error.error, head.method)
            return
        framing = head.framing
        self._has_begun_head = False
        self._has_sent = False
        self._served += 1
        self._close_after = (
            not head.keep_alive
            or self._served >= self._may_serve
            or plane.sweeper.now >= self._expires
        )
        if framing in {NO_BODY, 0}:
            self._phase = _ANSWERING
        else:
            self._phase = _READING_BODY
            self._left = framing
            self._decoder = ChunkedDecoder() if framing == CHUNKED else None
        whole: Any = self  # with the half that answers
        if head.debug is None:
            exchange = Exchange(plane, whole, head, peer)
        else:
            exchange = new_exchange(plane, whole, head, peer)
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
                self._request_ended(exchange, NO_PAIRS)
        exchange.request_flush()

    def _read_chunks(self, exchange: Exchange, decoder: ChunkedDecoder, data: bytes) -> None:
        try:
            pieces = decoder.feed(data)
        except ValueError:
            exchange.request_malformed()
            return
        if pieces:
            # As one: chunks of a byte each are cheap to send, and are not to be dear to pass on.
            exchange.request_data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if decoder.is_done:
            if decoder.rest:
                self._keep(decoder.rest)
            self._request_ended(exchange, decoder.trailers)

    def _request_ended(self, exchange: Exchange, trailers: list[Pair]) -> None:
        if self._phase == _READING_BODY:
            self._phase = _ANSWERING
            exchange.request_ended(trailers)

    # What an exchange calls

    def begin_tunnel(self, tunnel: Tunnel) -> None:
        self._phase = _TUNNEL
        self._tunnel = tunnel
        self._close_after = True
        self.flush()
        raw, self._raw = self._raw, b""
        if self._stopped_reading:
            self._stopped_reading = False
            self._update_reading()
        if raw:
            tunnel.client_data(raw)
        if self._is_half_closed:
            tunnel.client_ended(getattr(self._transport, "was_truncated", False))

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

    def _refuse(self, error: ForwardError, method: bytes) -> None:
        """Answer a request that comes to no exchange, and close."""
        plane = self._plane
        self._close_after = True
        self._has_sent = False
        request_id = plane.new_request_id()
        pairs, body = answers.problem(plane, plane.revision, error, request_id)
        whole: Any = self  # with the half that answers
        sent = answers.send(whole, method, error.status, pairs, body)
        if plane.counts_requests:
            plane.counters.record(("", ""), error.status, 0.0, error, -1.0, 0, sent)
        if plane.tell_ended is not None:
            plane.tell_ended(no_request(self._peer, plane, error, request_id, sent))


def about(plane: PlaneState, limit: float) -> float:
    """Return a limit, a tenth more or less, lest all clients come back at the same time."""
    return limit * (0.9 + 0.2 * plane.rng.random())
