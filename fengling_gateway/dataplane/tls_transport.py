"""TLS between a connection's protocol and its TCP transport.

The standard library's `ssl.SSLObject` does the work, between two buffers in
memory. It is half as dear as the way of Twisted, which stays as the fallback.

To what is below this is a protocol; to what is above, a transport. It buffers
nothing itself: what is written is encrypted at once and given to the TCP
transport, whose back-pressure the protocol above hears of directly.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import classImplements

READ_BYTES: Final = 64 * 1024


class TlsTransport:
    """
    One side of a TLS connection.

    The protocol above is connected when the handshake is done, and never if it
    fails; then `failed` is called instead, once, with the reason.

    Attributes:
        was_truncated: whether the peer ended without saying so (RFC 8446, 6.1):
            what seemed to be the end need not have been.
    """

    __slots__ = (
        "_failed",
        "_has_ended",
        "_incoming",
        "_is_open",
        "_outgoing",
        "_protocol",
        "_tls",
        "_transport",
        "was_truncated",
    )

    def __init__(
        self,
        protocol: Any,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None,
        failed: Callable[[str], None],
    ) -> None:
        """
        Args:
            server_hostname: whom we have called, for a client; None for a server.
            failed: told why there will be no connection.
        """
        self._protocol = protocol
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
        )
        self._failed: Callable[[str], None] | None = failed
        self._transport: Any = None
        self._is_open = False
        self._has_ended = False
        self.was_truncated = False

    def __repr__(self) -> str:
        state = "open" if self._is_open else "in its handshake"
        return f"<TlsTransport {state} of {self._protocol!r}>"

    # What TCP tells

    def makeConnection(self, transport: Any) -> None:
        """Begin the handshake."""
        self._transport = transport
        transport.setTcpNoDelay(True)
        if not self._tls.server_side:
            self._shake_hands()

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what has arrived, and pass it on as one piece."""
        self._incoming.write(data)
        if not self._is_open and not self._shake_hands():
            return
        self._read()

    def readConnectionLost(self) -> None:
        """Note that the peer has closed; if it had not said so before, something may be missing."""
        if not self._has_ended:
            self.was_truncated = True
            self._ended()

    def writeConnectionLost(self) -> None:
        """Note that our last byte has left."""

    def connectionLost(self, reason: Failure) -> None:
        """Note that the connection is closed."""
        if not self._is_open:
            self._tell_failure(reason.getErrorMessage())
            return
        self._is_open = False
        if self.was_truncated and reason.check(ConnectionDone):
            reason = Failure(ConnectionLost("without the end that TLS has"))
        self._protocol.connectionLost(reason)

    # The handshake

    def _shake_hands(self) -> bool:
        """Take a step; whether it was the last."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._flush()  # the alert that says why
            self._tell_failure(_reason(error))
            self._transport.loseConnection()
            return False
        self._flush()
        self._is_open = True
        self._failed = None
        self._protocol.makeConnection(self)
        return True

    def _tell_failure(self, reason: str) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            failed(reason)

    # Reading

    def _read(self) -> None:
        pieces = []
        error: ssl.SSLError | None = None
        try:
            # An end of TLS is an empty piece.
            while piece := self._tls.read(READ_BYTES):
                pieces.append(piece)
        except ssl.SSLWantReadError as wanted:
            error = wanted
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as broken:
            error = broken
        if self._outgoing.pending:
            self._flush()
        if pieces:
            self._protocol.dataReceived(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if error is None:
            self._ended()
        elif not isinstance(error, ssl.SSLWantReadError):
            self.was_truncated = True
            self._transport.abortConnection()

    def _ended(self) -> None:
        """The peer will send no more."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._is_open and IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.readConnectionLost()
        else:
            self._transport.loseConnection()

    # What the protocol above asks for

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._is_open:
            try:
                self._tls.write(data)
            except ssl.SSLError:
                # Such as after our own end; TCP finds out what there is to find out.
                self._transport.abortConnection()
                return
            self._transport.write(self._outgoing.read())

    def writeSequence(self, iovec: Any) -> None:
        """Send several pieces as one."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Say that it is the end, and close when that has left."""
        self._say_the_end()
        self._transport.loseConnection()

    def loseWriteConnection(self) -> None:
        """Say that it is our end; the peer may go on."""
        self._say_the_end()
        self._transport.loseWriteConnection()

    def abortConnection(self) -> None:
        """Break the connection off; the peer sees that it is not the end."""
        self._transport.abortConnection()

    def _say_the_end(self) -> None:
        if self._is_open:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # the peer has not said so yet, or has broken off
            self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._transport.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let the protocol above hear when TCP has enough, and when it has room."""
        self._transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._transport.resumeProducing()

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._transport.setTcpNoDelay(enabled)

    def getHandle(self) -> Any:
        return self._transport.getHandle()

    @property
    def below(self) -> Any:
        """The TCP transport."""
        return self._transport

    # What has been agreed upon

    def peer_certificate(self) -> bytes | None:
        """Return the peer's certificate (DER) if it was asked for and verified."""
        return self._tls.getpeercert(binary_form=True)


def _reason(error: ssl.SSLError) -> str:
    """Say why a handshake failed, without the place in the library's source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()


# Not by a decorator: a compiled class takes none.
classImplements(TlsTransport, IHalfCloseableProtocol)
