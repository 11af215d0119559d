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
from select import POLLIN, poll
from typing import Any, Final

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import classImplements

from fengling_gateway.dataplane.tls_failures import (
    ALERT,
    LEFT,
    OTHER,
    SILENT,
    TlsFailure,
    failure_of,
)
from fengling_gateway.dataplane.tls_session import TlsSession

RECORD_BYTES: Final = 16 * 1024
"""The most that is read in one go: what a record holds."""

MAX_ANSWERED_BYTES: Final = 16 * 1024
"""
What TLS itself may answer on a connection: new keys that the peer asks for, renegotiations refused.

Some 500 of them, where an honest peer has none, or one after many gigabytes. They obey no
back-pressure: who asks on and reads nothing would fill the memory.
"""

# What TLS reads from and writes to, of all connections. A buffer of OpenSSL's never
# shrinks: with two of its own, a connection would hold 170 KiB for as long as it lives,
# once it has carried a large body each way. What is not a whole record yet, TLS keeps
# itself. So whenever anybody else's turn may come, both are empty: see `_shake_hands`,
# `_decrypt` and `write`.
_INCOMING: Final = ssl.MemoryBIO()
_OUTGOING: Final = ssl.MemoryBIO()


class Terms:
    """
    What several connections were opened on.

    Attributes:
        hold: whether new ones would be, too.
    """

    __slots__ = ("context", "hold", "server_hostname")

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self.context = context
        self.server_hostname = server_hostname
        self.hold = True


class TlsTransport:
    """
    One side of a TLS connection.

    The protocol above is made and connected when the handshake is done, and
    never if it fails; then `failed` is called instead, once, with the reason.

    Attributes:
        has_heard: whether the peer has said anything.
        was_refused: whether the peer broke off, and said so. With TLS 1.3 it may do that when
            to us the handshake is done: what it does not like is our certificate, most often.
        was_truncated: whether the peer ended without saying so (RFC 8446, 6.1):
            what seemed to be the end need not have been.
    """

    __slots__ = (
        "_answered_bytes",
        "_broke",
        "_build",
        "_can_write",
        "_failed",
        "_has_ended",
        "_is_new",
        "_is_open",
        "_poll",
        "_protocol",
        "_terms",
        "_tls",
        "_transport",
        "has_heard",
        "was_refused",
        "was_truncated",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None,
        build: Callable[[TlsSession], Any],
        failed: Callable[[TlsFailure], None],
        broke: Callable[[TlsFailure], None] | None = None,
        terms: Terms | None = None,
    ) -> None:
        """
        Args:
            server_hostname: whom we have called, for a client; None for a server.
            build: makes the protocol above, given what the handshake has come to,
                if it was asked for and verified.
            failed: told why there will be no connection.
            broke: told why there is none any more, where the peer broke it off
                or broke the rules.
            terms: that it is opened on; see `is_quiet`.
        """
        self._build: Callable[[TlsSession], Any] | None = build
        self._protocol: Any = None
        self._tls = context.wrap_bio(
            _INCOMING,
            _OUTGOING,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
        )
        self._failed: Callable[[TlsFailure], None] | None = failed
        self._transport: Any = None
        self._broke = broke
        self._terms = terms
        self._poll: Any = None
        self._answered_bytes = 0
        self.has_heard = False
        self._is_new = True
        self._is_open = False
        self._can_write = False
        self._has_ended = False
        self.was_refused = False
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
            self._shake_hands(b"")

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what has arrived, and pass it on as one piece."""
        if self._has_ended:
            return  # nothing follows the peer's end (RFC 8446, 6.1), and nobody would read it
        if self._is_open:
            self._read(data)
        elif self._failed is not None:  # else this is what the peer had sent before it heard
            rest = self._shake_hands(data)
            if rest:
                self._read(rest)

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
            kind = LEFT if self.has_heard else SILENT
            self._tell_failure(TlsFailure(kind, reason.getErrorMessage()))
            return
        self._is_open = self._can_write = False
        if self.was_truncated and reason.check(ConnectionDone):
            reason = Failure(ConnectionLost("without the end that TLS has"))
        self._protocol.connectionLost(reason)

    # The handshake

    def _shake_hands(self, data: bytes) -> bytes:
        """Take a step; after the last one, return what has come behind the handshake."""
        self.has_heard = True
        failure: ssl.SSLError | None = None
        _INCOMING.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return b""
        except ssl.SSLError as error:
            failure = error
        rest = _INCOMING.read()
        self._flush()  # of a failure, the alert that says why
        if failure is not None:
            self._tell_failure(failure_of(failure))
            self._transport.loseConnection()
            return b""
        self._is_open = self._can_write = True
        self._failed = None
        build, self._build = self._build, None
        self._protocol = build(self._session())  # type: ignore[misc]
        self._protocol.makeConnection(self)
        return rest

    def _session(self) -> TlsSession:
        tls = self._tls
        cipher = tls.cipher()
        return TlsSession(
            tls.getpeercert(True), tls.version(), None if cipher is None else cipher[0]
        )

    def _tell_failure(self, failure: TlsFailure) -> None:
        failed, self._failed = self._failed, None
        self._build = None
        if failed is not None:
            failed(failure)

    # Reading

    def _read(self, data: bytes) -> None:
        pieces: list[bytes] = []
        reason = self._decrypt(data, pieces)
        if _OUTGOING.pending:
            self._answered_bytes += _OUTGOING.pending
            self._flush()
        if pieces:
            self._protocol.dataReceived(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        has_ended = isinstance(reason, ssl.SSLZeroReturnError)
        if reason is not None and not has_ended:
            self._break_off(failure_of(reason))
        elif self._answered_bytes > MAX_ANSWERED_BYTES:
            self._break_off(TlsFailure(OTHER, "too many requests for new keys"))
        elif has_ended:
            self._ended()

    def _decrypt(self, data: bytes, pieces: list[bytes]) -> ssl.SSLError | None:
        """Add what this says to the pieces; return why nothing more will come, where that is so."""
        tls = self._tls
        _INCOMING.write(data)
        try:
            while True:
                piece = tls.read(RECORD_BYTES)
                if not piece:
                    reason: ssl.SSLError = ssl.SSLZeroReturnError()
                    break
                pieces.append(piece)
                if not _INCOMING.pending and not tls.pending():
                    return None  # asking once more would cost an exception
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError as error:
            reason = error
        _INCOMING.read()
        return reason

    def _break_off(self, failure: TlsFailure) -> None:
        self.was_refused = failure.kind == ALERT
        self.was_truncated = True
        self._transport.abortConnection()
        if self._broke is not None:
            self._broke(failure)

    def _ended(self) -> None:
        """The peer will send no more."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._is_open and IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.readConnectionLost()
        else:
            self.loseConnection()

    # What the protocol above asks for

    def write(self, data: bytes) -> None:
        """Encrypt and send; after our own end, nothing is."""
        if not self._can_write or not data:
            return
        try:
            written = self._tls.write(data)
            while written < len(data):
                written += self._tls.write(data[written:])
        except ssl.SSLError:
            _OUTGOING.read()
            self._transport.abortConnection()
            return
        self._transport.write(_OUTGOING.read())

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
        if self._can_write:
            self._can_write = False
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # the peer has not said so yet, or has broken off
            self._flush()

    def _flush(self) -> None:
        data = _OUTGOING.read()
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

    def is_quiet(self) -> bool:
        """
        Whether the peer has neither ended nor said anything to the protocol above that it has not heard.

        For who wants to ask something new, on terms that still hold; but the first
        one had it opened, on the terms of then. What the socket has is read before:
        it may be no more than a session ticket.
        """
        if self._has_ended or not self._is_open:
            return False
        is_new, self._is_new = self._is_new, False
        if self._terms is not None and not self._terms.hold and not is_new:
            return False
        if self._poll is None:
            looker = poll()
            looker.register(self._transport.getHandle(), POLLIN)
            self._poll = looker.poll
        if not self._poll(0):
            return True
        why = self._transport.doRead()
        return why is None and not self._has_ended


# Not by a decorator: a compiled class takes none.
classImplements(TlsTransport, IHalfCloseableProtocol)
