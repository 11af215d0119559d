"""HTTP/1.1 towards an instance: the life of a connection, one exchange at a time."""

from __future__ import annotations

from collections.abc import Callable
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from fengling_gateway.balancing.instance import Instance
from fengling_gateway.dataplane import http1_answer_phases as phases
from fengling_gateway.dataplane.http1_answer_reader import AnswerReader
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.dataplane.transports import UNKNOWN, backlog, has_unsent
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.head import HeadError
from fengling_gateway.http.headers import NO_PAIRS

if TYPE_CHECKING:
    from fengling_gateway.dataplane.exchange import Exchange
    from fengling_gateway.dataplane.pool import UpstreamPool
    from fengling_gateway.dataplane.tunnel import Tunnel

_log = Logger()

_IDLE: Final = phases.IDLE
_HEAD: Final = phases.HEAD
_UNTIL_CLOSE: Final = phases.UNTIL_CLOSE
_TUNNEL: Final = phases.TUNNEL
_CLOSED: Final = phases.CLOSED

IDLE_MARGIN_SECONDS: Final = 1.0
"""So much earlier than an instance closes an idle connection it is given up here."""

CLOSE_SECONDS: Final = 5.0
"""How long closing in peace may take: the instance may be deaf, or not take part in ending TLS."""


class UpstreamConnection(AnswerReader):
    """
    A connection to an instance.

    Twisted drives it as a protocol, and as the producer of what is sent on it;
    an exchange sees it as its `UpstreamStream`.

    Attributes:
        instance: whom it leads to, as configured when it was opened.
        deadline: on the sweeper's clock, for closing.
        idle_until: on the sweeper's clock, for an idle one: how long it may stay so.
        is_counted: whether it has one of the pool's places.
    """

    __slots__ = (
        "_backlog",
        "_connector",
        "_is_paused",
        "_is_quiet",
        "_pool",
        "_unread",
        "_uses",
        "deadline",
        "idle_until",
        "instance",
        "is_counted",
    )

    def __init__(self, pool: UpstreamPool, plane: PlaneState, instance: Instance) -> None:
        super().__init__(plane)
        self._pool = pool
        self.instance = instance
        self._connector: Any = None
        self._is_paused = False
        self._unread: Callable[[int], list[Any]] | None = None
        self._is_quiet: Callable[[], bool] | None = None
        self._uses = 0
        self._backlog = UNKNOWN
        self.idle_until = 0.0
        self.is_counted = True
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

    def is_awaited(self) -> bool:
        """Whether somebody still waits for it to be open."""
        return self._exchange is not None

    def seconds_left(self) -> float:
        """Return how long opening it may still take."""
        exchange = self._exchange
        if exchange is None:
            return 0.0
        left: float = exchange.downstream.deadline - self._plane.sweeper.now
        return left

    @property
    def is_to_retired(self) -> bool:
        """Whether the instance has left the configuration."""
        return self._pool.is_retired

    def makeConnection(self, transport: Any) -> None:
        """Take the transport: the connection is open."""
        self._transport = transport
        self._connector = None
        transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        # Of TLS only its transport can tell whether what the socket has says anything.
        self._is_quiet = getattr(transport, "is_quiet", None)
        if self._is_quiet is None and self.instance.scheme != "https":
            looker = poll()
            looker.register(transport.getHandle(), POLLIN)
            self._unread = looker.poll
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            self.close()
        else:
            self._pool.connection_made(self, exchange)

    def connect_failed(self, error: ForwardError = ForwardError.CONNECT_FAILED) -> None:
        """Note that the connection could not be opened."""
        exchange, self._exchange = self._exchange, None
        self._phase = _CLOSED
        self._connector = None
        if exchange is not None:
            self._pool.connection_failed(exchange, error)
        self._pool.closed(self)

    # Lending

    def is_alive(self) -> bool:
        """
        Whether the peer has neither hung up nor said anything unasked.

        This asks the socket: what lies there unread would be taken for the
        answer to the next request, whoever's that is. (By poll(2): a look by
        recv(2) costs three times as much, because of its exception.)
        """
        if self._is_quiet is not None:
            # What it reads may have been an answer to nothing, and the end of this connection.
            return self._is_quiet() and self._phase == _IDLE
        return self._unread is None or not self._unread(0)

    def retire(self) -> None:
        """Carry no other exchange: what it leads to is no longer the instance."""
        if self._phase == _IDLE and self._transport is not None:
            self._pool.forget(self)
            self.close()
        else:
            self._is_quiet, self._unread = None, _is_no_more

    def lend(self, exchange: Exchange) -> None:
        """Serve `exchange` until its answer has ended."""
        self._exchange = exchange
        self._phase = _HEAD
        self._request_ended = False
        self.is_reused = self._uses > 0
        self._uses += 1

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
            self.idle_until = self._plane.sweeper.now + self._idle_timeout()
            self._pool.release(self)

    def _idle_timeout(self) -> float:
        """Return how long it may be kept: less than the instance has said that it does."""
        timeout = self._plane.settings.upstream_idle_timeout
        said = self._idle_seconds
        return timeout if said < 0 else min(timeout, said - IDLE_MARGIN_SECONDS)

    def _has_unsent(self) -> bool:
        return self._is_blocked or has_unsent(self._transport)

    def _said_unasked(self) -> None:
        self._pool.forget(self)
        self.discard()

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

    # What an exchange calls, beside what writes its request

    def abort(self) -> None:
        self._exchange = None
        self.discard()

    def begin_tunnel(self, tunnel: Tunnel) -> None:
        self._phase = _TUNNEL
        self._tunnel = tunnel
        self._pool.left(self)

    def half_close(self) -> None:
        if self._phase == _TUNNEL:
            self.flush()
            self._transport.unregisterProducer()
            self._transport.loseWriteConnection()

    def close_tunnel(self) -> None:
        self._exchange = None
        self.flush()
        self.close()

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
            _log.failure(
                "The answer on {connection} could not be relayed",
                connection=self,
                log_id="exchange.not_relayed",
            )
            exchange = self._exchange
            self._fail(ForwardError.INTERNAL_ERROR)
            if exchange is not None:
                exchange.downstream.fault(exchange)

    def readConnectionLost(self) -> None:
        """Note that the instance will say no more."""
        phase = self._phase
        is_cut = getattr(self._transport, "was_truncated", False)
        if phase == _TUNNEL and self._tunnel is not None:
            self._tunnel.instance_ended(is_cut)
        elif phase == _UNTIL_CLOSE and not is_cut:
            exchange, self._exchange = self._exchange, None
            self.close()
            if exchange is not None:
                self._tell_end(exchange, NO_PAIRS)
        elif phase == _IDLE:
            self._pool.forget(self)
            self.close()
        elif phase != _CLOSED:
            self._transport.abortConnection()

    def writeConnectionLost(self) -> None:
        """Note that our last byte has left."""

    def connectionLost(self, reason: Failure) -> None:
        """Note that the connection is closed."""
        phase, self._phase = self._phase, _CLOSED
        self._plane.sweeper.items.discard(self)
        exchange, self._exchange = self._exchange, None
        was_refused = not self.is_reused and getattr(self._transport, "was_refused", False)
        self._transport = None
        self._out = []
        self._pool.closed(self)
        if exchange is None:
            return
        if phase == _UNTIL_CLOSE and reason.check(ConnectionDone):
            self._tell_end(exchange, NO_PAIRS)
        elif self._tunnel is not None and self._tunnel.takes_for_end(reason):
            self._tunnel.side_closed()
        elif phase == _TUNNEL:
            exchange.upstream_failed(ForwardError.TUNNEL_BROKEN, is_reused=False)
        elif phase == _HEAD:
            error = ForwardError.TLS_REFUSED if was_refused else self._why_unanswered()
            exchange.upstream_failed(error, is_reused=self.is_reused)
        else:
            exchange.upstream_failed(ForwardError.RESPONSE_TOO_SHORT, is_reused=self.is_reused)

    def _why_unanswered(self) -> ForwardError:
        if self._raw:
            return ForwardError.MALFORMED_RESPONSE
        return ForwardError.NO_RESPONSE if self._request_ended else ForwardError.REQUEST_SEND_FAILED


def _is_no_more(_: int) -> list[Any]:
    """Stand in for what asks the socket of a connection that is not to be used again."""
    return [True]


# Not by a decorator: a compiled class takes none.
classImplements(UpstreamConnection, IPushProducer, IHalfCloseableProtocol)
