"""What comes before HTTP on a client's connection: a PROXY header, a TLS handshake.

Each layer takes the connection over from the one before it: the transport's
protocol becomes the next one, which is given the bytes that are left.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from fengling_gateway.dataplane.listener import Listener, Peer
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.sweeper import NEVER
from fengling_gateway.dataplane.tls_failures import TIMEOUT, TlsFailure
from fengling_gateway.dataplane.tls_session import TlsSession
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.headers import Pair
from fengling_gateway.http.proxy_protocol import read_header

_log = Logger()

CLIENT_CERT: Final = b"Client-Cert"
"""The header that tells an instance the client's verified certificate (RFC 9440)."""


class Opening:
    """
    A client's connection until it speaks HTTP.

    It is the protocol of the TCP transport while a PROXY header is due. Then
    HTTP or TLS is; of TLS it hears how the handshake went.

    Attributes:
        deadline: on the sweeper's clock, for all of it.
    """

    __slots__ = (
        "_connect",
        "_expects_header",
        "_following",
        "_listener",
        "_name",
        "_on_closed",
        "_plane",
        "_raw",
        "_transport",
        "deadline",
    )

    def __init__(
        self,
        plane: PlaneState,
        listener: Listener,
        address: str,
        *,
        connect: Callable[[Opening, Peer], Any],
        on_closed: Callable[[Opening], None],
    ) -> None:
        """
        Args:
            address: the peer's.
            connect: makes the protocol that speaks HTTP with a client, in place
                of this one.
            on_closed: called if it does not come to that.
        """
        self._plane = plane
        self._listener = listener
        self._name = address
        self._connect = connect
        self._on_closed = on_closed
        self._raw = b""
        self._transport: Any = None
        self._following: Any = None
        self._expects_header = listener.is_behind(address)
        self.deadline = NEVER

    def __repr__(self) -> str:
        return f"<Opening {self._name} of {self._listener.name}>"

    # What Twisted calls

    def makeConnection(self, transport: Any) -> None:
        """Take the transport: a client has connected."""
        self._transport = transport
        plane = self._plane
        plane.counters.connections_now += 1
        plane.counters.opening_now += 1
        plane.sweeper.items.add(self)
        self.deadline = plane.sweeper.now + self._listener.header_deadline
        if not self._expects_header:
            self._hand_over(b"")

    def dataReceived(self, data: bytes) -> None:
        """Read the PROXY header; what follows it is for the next layer."""
        data = self._raw + data
        try:
            header = read_header(data)
        except ValueError as error:
            self._count_header(str(error))
            self._break_off()
            return
        if header is None:
            self._raw = data
            return
        if header.source is not None:
            self._name = header.source
        self._raw = b""
        self._hand_over(data[header.length :])

    def connectionLost(self, reason: Failure) -> None:
        """Note that the client has left before its header was complete."""
        if self._leave():
            if self._raw:  # else it is a health check, most likely
                self._count_header("the connection ended within it")
            self._on_closed(self)

    # What comes next

    def _hand_over(self, rest: bytes) -> None:
        transport = self._transport
        tls = self._listener.tls
        self._expects_header = False
        following = (
            self._become_http(()) if tls is None else tls.layer(self._shaken_hands, self._failed)
        )
        transport.protocol = self._following = following
        following.makeConnection(transport)
        if rest:
            following.dataReceived(rest)

    def _shaken_hands(self, session: TlsSession) -> Any:
        """Go on with HTTP over TLS."""
        self._plane.counters.tls_handshakes += 1
        certificate = session.certificate
        if certificate is None:
            return self._become_http((), session)
        return self._become_http(((CLIENT_CERT, b":%b:" % b64encode(certificate)),), session)

    def _become_http(self, pairs: tuple[Pair, ...], session: TlsSession | None = None) -> Any:
        self._leave()
        return self._connect(self, Peer(self._listener, self._name, pairs, session))

    # Ends

    def deadline_passed(self, now: float) -> None:
        """Break off what takes too long."""
        if self._expects_header:
            self._count_header("it took too long")
        else:
            self._count_handshake(TIMEOUT)
        self._break_off()

    def idle_since(self) -> float:
        """Return since when the client has been silent; `NEVER` once it has said something."""
        if self._raw or getattr(self._following, "has_heard", False):
            return NEVER  # whoever shakes hands is about to ask for something, and has a deadline
        return self.deadline - self._listener.header_deadline

    def close_idle(self, idle_since: float) -> bool:
        """Close if the client has said nothing, and has not since then; return whether it does."""
        if self.idle_since() > idle_since:
            return False
        self._break_off()
        return True

    def break_off(self, error: ForwardError) -> None:
        """Close at once."""
        self._break_off()

    def _break_off(self) -> None:
        if self._leave():
            self._transport.abortConnection()
            self._on_closed(self)

    def _failed(self, failure: TlsFailure) -> None:
        """Note that there will be no TLS connection."""
        if self._leave():
            self._count_handshake(failure.kind)
            self._on_closed(self)

    def _count_handshake(self, kind: str) -> None:
        failed = self._plane.counters.tls_handshakes_failed
        if kind:
            failed[kind] = failed.get(kind, 0) + 1

    def _count_header(self, why: str) -> None:
        plane = self._plane
        listener = self._listener
        plane.counters.proxy_headers_refused += 1
        if listener.rarely.is_time("proxy", plane.sweeper.now):
            _log.warn(
                "listener {listener}: {peer} has to send a PROXY header, and did not: {why}; "
                "of others, nothing is said for a minute",
                listener=listener.name,
                peer=self._name,
                why=why,
                log_id="proxy_header.refused",
            )

    def _leave(self) -> bool:
        """Be over; False if that is so already."""
        plane = self._plane
        if self not in plane.sweeper.items:
            return False
        plane.sweeper.items.discard(self)
        plane.counters.connections_now -= 1
        plane.counters.opening_now -= 1
        self.deadline = NEVER
        return True
