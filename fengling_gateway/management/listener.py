"""The management API's own port: bounded in connections, time and body size."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.protocols.policies import WrappingFactory
from twisted.web.server import Request, Site

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.management.api import ManagementApi
from fengling_gateway.management.gate import Gate
from fengling_gateway.management.gateway import ManagedGateway
from fengling_gateway.management.parameters import MAX_BODY_BYTES
from fengling_gateway.management.port import bind

IDLE_SECONDS: Final = 30
"""Between the bytes of a request, and between requests."""

MAX_CONNECTIONS: Final = 200
"""Operators, scrapers and probes; beyond it somebody is holding connections open."""

MAX_DISCARDED_BYTES: Final = 4 * MAX_BODY_BYTES
"""What is read of a body that is refused, so that its sender sees the answer."""


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
        self._body_bytes += len(data)
        if self._body_bytes <= MAX_BODY_BYTES:
            super().handleContentChunk(data)
            return
        self.body_refused = True
        if self._body_bytes > MAX_DISCARDED_BYTES:
            transport: Any = self.channel.transport
            transport.abortConnection()


class ManagementSite(Site):
    """A site that shows no tracebacks to strangers and writes no access log."""

    displayTracebacks = False
    noisy = False

    def log(self, request: Any) -> None:
        """What changes something is logged by the API itself; refusals are counted."""


class BoundedFactory(WrappingFactory):
    """A bound on the connections of a factory; more are closed at once."""

    noisy = False

    def buildProtocol(self, addr: Any) -> Any:
        if len(self.protocols) >= MAX_CONNECTIONS:
            return None
        return super().buildProtocol(addr)


class ManagementListener:
    """
    Serves the management API of one gateway.

    Args:
        address: host and port; port 0 takes a free one, see `port`.
        token_keys: ``id:secret``; the first one would sign, all of them verify.
        wall_clock: seconds since the Unix epoch, for the expiry of tokens.

    Raises:
        WeakKeyError: there is no key, or one is short or a placeholder. There is
            no management API without a key of one's own.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        gateway: ManagedGateway,
        address: tuple[str, int],
        token_keys: Iterable[str],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._port: IListeningPort | None = None
        self.resource = management_resource(
            gateway=gateway, tokens=TokenRing(token_keys), clock=reactor, wall_clock=wall_clock
        )

    @property
    def port(self) -> int:
        """The port in use once started."""
        bound: Any = self._port
        return int(bound.getHost().port)

    def start(self, bound: socket.socket | None = None) -> None:
        """
        Answer at the address.

        Args:
            bound: what `bind` returned for it, if it has been taken before.

        Raises:
            OSError: the address can't be had.
        """
        site = ManagementSite(
            self.resource,
            requestFactory=BoundedRequest,
            timeout=IDLE_SECONDS,
            reactor=self._reactor,
        )
        with bound or bind(self._address) as listening:
            self._port = self._reactor.adoptStreamPort(
                listening.fileno(), listening.family, BoundedFactory(site)
            )

    def stop(self) -> Deferred[None]:
        """Close the port; answers under way are finished by their connections."""
        if self._port is None:
            return succeed(None)
        return maybeDeferred(self._port.stopListening).addCallback(lambda _: None)


def management_resource(
    *, gateway: ManagedGateway, tokens: TokenRing, clock: Any, wall_clock: Callable[[], float]
) -> Gate:
    """Return the root resource: the gate with the API behind it."""
    refusals: Counter[str] = Counter()
    api = ManagementApi(gateway=gateway, clock=clock, refusals=refusals)
    return Gate(
        inside=api.app.resource(),
        tokens=tokens,
        clock=clock,
        wall_clock=wall_clock,
        refusals=refusals,
    )
