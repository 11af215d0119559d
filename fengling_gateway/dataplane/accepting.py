"""From a listening socket to connections: accepting, the cap, and who is refused."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger

from fengling_gateway.dataplane.http1_downstream import DownstreamConnection
from fengling_gateway.dataplane.listener import Listener, Peer
from fengling_gateway.dataplane.opening import Opening
from fengling_gateway.dataplane.ports import Doorkeeper
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.forwarded import peer_address
from fengling_gateway.http.problem import REASONS, problem_body

_log = Logger()

Connection = DownstreamConnection | Opening

RESERVED_DESCRIPTORS: Final = 256
"""Descriptors left for files, the control channel, Redis and whatever else opens one."""

_MAX_PENDING: Final = 4096
"""Connections that can be queued on one socket."""


class ListeningSocket:
    """A listening socket that the data plane accepts from."""

    def __init__(self, port: Any, ports: set[ListeningSocket]) -> None:
        self._port = port
        self._ports = ports

    def accept_pending(self) -> None:
        """Accept everything that is queued on the socket now."""
        self._port.numberAccepts = _MAX_PENDING
        self._port.doRead()

    def pause(self) -> None:
        """Leave who comes in the socket's queue until `resume`."""
        if self in self._ports:
            self._port.is_held = True
            self._port.stopReading()

    def resume(self) -> None:
        """Accept again."""
        if self in self._ports:
            self._port.is_held = False
            self._port.startReading()

    def stop_accepting(self) -> None:
        """Accept no more, at once. What is queued on the socket stays there for others."""
        if self in self._ports:
            self._ports.discard(self)
            self._port.stopListening()


class DownstreamFactory(Doorkeeper):
    """Makes the protocols of accepted connections."""

    noisy = False

    def __init__(
        self,
        state: PlaneState,
        listener: Listener,
        *,
        connections: set[Connection],
        max_connections: int,
        on_closed: Callable[[Connection], None],
    ) -> None:
        """
        Args:
            connections: all those of the worker; new ones are added.
            on_closed: told of those that are no more.
        """
        self._state = state
        self._listener = listener
        self._connections = connections
        self._max_connections = max_connections
        self._on_closed = on_closed

    def buildProtocol(self, addr: Any) -> Any:
        """Return a protocol for a connection; beyond the cap, one that says so and closes."""
        refusal = self.refusal()  # where the port has not asked
        if refusal is not None:
            return _Refusal(refusal)
        self._state.counters.connections_accepted += 1
        listener = self._listener
        address = peer_address(addr.host)
        connection: Connection
        if listener.tls is None and not listener.is_behind(address):
            connection = DownstreamConnection(self._state, Peer(listener, address), self._on_closed)
        else:
            connection = Opening(
                self._state, listener, address, connect=self._opened, on_closed=self._on_closed
            )
        self._connections.add(connection)
        return connection

    def refusal(self) -> bytes | None:
        if len(self._connections) < self._max_connections:
            return None
        return self.refuse()

    def short_of(self, error: OSError) -> None:
        state, listener = self._state, self._listener
        state.counters.descriptors_short += 1
        if listener.rarely.is_time("accept", state.sweeper.now):
            _log.error(
                "listener {listener}: a client can't be accepted: {error}; of others, nothing is "
                "said for a minute",
                listener=listener.name,
                error=os.strerror(error.errno or 0),
                log_id="accept.failed",
            )

    def refuse(self) -> bytes:
        state = self._state
        state.counters.connections_refused += 1
        if self._listener.tls is not None:
            return b""  # which it would not understand
        error = ForwardError.CONNECTION_LIMIT
        body = problem_body(error, state.new_request_id())
        return (
            b"HTTP/1.1 503 %b\r\nContent-Type: application/problem+json\r\n"
            b"X-Gateway-Error: %b\r\nRetry-After: 1\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b" % (REASONS[503], error.code.encode(), len(body), body)
        )

    def _opened(self, opening: Opening, peer: Peer) -> DownstreamConnection:
        """Return what comes in the place of a connection's opening."""
        connection = DownstreamConnection(self._state, peer, self._on_closed)
        self._connections.discard(opening)
        self._connections.add(connection)
        return connection


class _Refusal:
    """Answers a connection beyond the cap, without reading from it."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makeConnection(self, transport: Any) -> None:
        """Answer and close."""
        transport.write(self._answer)
        transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Drop it."""

    def connectionLost(self, reason: Any) -> None:
        """Note that it is over."""


def connection_cap() -> int:
    """Return how many clients the descriptor limit allows, each with a connection upstream."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 1_048_576
    return max((soft - RESERVED_DESCRIPTORS) // 2, 16)
