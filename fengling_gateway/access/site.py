"""
The connections of an API of ours, bounded in number, time and body size.

Probes share them with whoever else can reach the port. So nobody keeps others
out: a request has to be there as a whole within a deadline, however its bytes
trickle in, and where there are too many connections, the one that has owed us
a request for the longest makes room for the new one.
"""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from fengling_gateway.access.parameters import MAX_BODY_BYTES

IDLE_SECONDS: Final = 30.0
"""Until the first byte of a request: the interval of a patient scraper."""

REQUEST_SECONDS: Final = 10.0
"""For a whole request from its first byte, head and body."""

CLOSE_SECONDS: Final = 30.0
"""For taking what is left of an answer, when the connection is to be closed."""

MAX_CONNECTIONS: Final = 200
"""Operators, scrapers and probes; beyond it somebody is holding connections open."""

MAX_DISCARDED_BYTES: Final = 256 * MAX_BODY_BYTES
"""
What is read of a body that is refused, so that its sender sees the answer; nothing of it is kept.

16 MiB, which is what somebody sends by mistake, and a hundredth of a second's work.
"""


class BoundedRequest(Request):
    """A request whose body is kept up to a bound; beyond it only the fact is."""

    body_refused = False
    _body_bytes = 0

    def process(self) -> None:
        # Twisted answers a request for "*" by itself; here it goes through the gate.
        if self.path == b"*":
            self.path = b"/*"
        super().process()

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        channel: Any = self.channel
        self._body_bytes += len(data)
        if self._body_bytes <= channel.site.max_body_bytes:
            super().handleContentChunk(data)
            return
        self.body_refused = True
        if self._body_bytes > MAX_DISCARDED_BYTES:
            channel.transport.abortConnection()


class BoundedChannel(HTTPChannel):
    """
    A connection with one deadline at a time: for the first byte of a request,
    for the whole of it, or for its own end. While an answer is made there is none.

    The next request, which may be there already, waits until the answers before
    it have been taken: they would fill our memory otherwise, for a client that
    asks and asks and never reads.
    """

    site: BoundedSite
    _deadline: IDelayedCall | None = None
    _reading = False
    _closing = False
    _is_full = False
    _untaken: Request | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.opened(self)
        self._expect_request()

    def dataReceived(self, data: bytes) -> None:
        free = not (self._reading or self._closing or self._untaken)
        if free and self in self.site.waiting:
            self._reading = True
            self._expect(REQUEST_SECONDS)
        super().dataReceived(data)

    def allContentReceived(self) -> None:
        self._reading = False
        self._expect(None)
        self.site.waiting.pop(self, None)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        self._expect_request()  # before the next one, which may be there already
        if self._is_full and self.persistent:
            self._untaken = request
        else:
            super().requestDone(request)

    def pauseProducing(self) -> None:
        self._is_full = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._is_full = False
        super().resumeProducing()
        answered, self._untaken = self._untaken, None
        if answered is not None:
            self.requestDone(answered)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line of the head is too long, as with a huge token: Twisted would hang up and say nothing."""
        self.site.refusals["malformed_request"] += 1
        transport: Any = self.transport
        transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"
        )
        self.loseConnection()

    def loseConnection(self) -> None:
        self._closing = True
        self._expect(CLOSE_SECONDS)
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._expect(None)
        self.site.forget(self)
        super().connectionLost(reason)

    def drop(self, why: str) -> None:
        """End it at once, and count that."""
        self.site.refusals[why] += 1
        self._closing = True
        self._expect(None)
        self.site.forget(self)
        transport: Any = self.transport
        transport.abortConnection()

    def _expect_request(self) -> None:
        self.site.waiting[self] = None
        self._expect(IDLE_SECONDS)

    def _expect(self, seconds: float | None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None:
            self._deadline = self.site.reactor.callLater(seconds, self._expired)

    def _expired(self) -> None:
        if self._reading or self._closing:
            self.drop("too_slow")
        else:
            self.loseConnection()


class BoundedSite(Site):
    """
    A site that shows no tracebacks to strangers and writes no access log.

    Attributes:
        max_connections: that are open at a time.
        max_body_bytes: that are kept of a request's body; a larger one is refused.
        waiting: the connections that owe us a request, the longest first.
        refusals: counts connections that are dropped, by reason.
    """

    displayTracebacks = False
    noisy = False
    protocol: Any = BoundedChannel

    def __init__(
        self,
        resource: IResource,
        *,
        reactor: IReactorTime,
        refusals: Counter[str],
        max_body_bytes: int = MAX_BODY_BYTES,
        max_connections: int | None = None,
    ) -> None:
        # Without Twisted's own timeout, which each byte begins anew; and forms, which nothing
        # here takes, are not read before anybody has asked who sends them.
        super().__init__(
            resource,
            BoundedRequest,
            timeout=None,
            reactor=reactor,
            parsePOSTFormSubmission=False,
        )
        self.refusals = refusals
        self.max_body_bytes = max_body_bytes
        self.max_connections = max_connections or MAX_CONNECTIONS
        self.waiting: dict[BoundedChannel, None] = {}
        self._open: set[BoundedChannel] = set()

    def buildProtocol(self, addr: Any) -> Any:
        if len(self._open) >= self.max_connections:
            longest = next(iter(self.waiting), None)
            if longest is None:  # all of them are being answered
                self.refusals["too_many_connections"] += 1
                return None
            longest.drop("too_many_connections")
        return super().buildProtocol(addr)

    def opened(self, channel: BoundedChannel) -> None:
        self._open.add(channel)

    def forget(self, channel: BoundedChannel) -> None:
        """It has ended, or is about to."""
        self._open.discard(channel)
        self.waiting.pop(channel, None)

    def log(self, request: Any) -> None:
        """What changes something is logged by the API itself; refusals are counted."""
