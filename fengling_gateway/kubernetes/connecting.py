"""Connections to a cluster's API server: names as this host resolves them, TLS, dead peers found."""

from __future__ import annotations

import socket
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from fengling_gateway.dataplane.endpoint_names import Names, ResolvingReactor
from fengling_gateway.dataplane.resolver import Lookups
from fengling_gateway.kubernetes.credentials import Credentials

CONNECT_SECONDS: Final = 10.0

_DEAD_AFTER: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)
"""
A watch may be silent for a minute. Where the peer, or the way to it, is gone without a word,
the kernel finds that out after half of one.
"""


@implementer(IAgentEndpointFactory)
class Ways:
    """Ways to servers; one for each connection."""

    def __init__(self, *, reactor: Any, lookups: Lookups, credentials: Credentials) -> None:
        self._reactor = reactor
        self._lookups = lookups
        self._credentials = credentials

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return _Way(self._reactor, self._lookups, self._credentials, uri)


@implementer(IStreamClientEndpoint)
class _Way:
    def __init__(self, reactor: Any, lookups: Lookups, credentials: Credentials, uri: URI) -> None:
        self._reactor = reactor
        self._lookups = lookups
        self._credentials = credentials
        self._uri = uri

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        names = Names(self._lookups, _refuse_nobody)
        connecting: Deferred[Any] = maybeDeferred(self._connect, names, protocolFactory)

        def end(result: Any) -> Any:
            names.cancel()
            return result

        return connecting.addBoth(end).addCallback(_connected)

    def _connect(self, names: Names, factory: Any) -> Any:
        uri = self._uri
        factory.noisy = False  # (it would log each connection)
        reactor = ResolvingReactor(self._reactor, names)
        endpoint: Any = HostnameEndpoint(reactor, uri.host, uri.port, timeout=CONNECT_SECONDS)
        if uri.scheme == b"https":
            terms = self._credentials.policy().creatorForNetloc(uri.host, uri.port)
            endpoint = wrapClientTLS(terms, endpoint)
        return endpoint.connect(_Connections(factory))


class _Connection(ProtocolWrapper):
    """A connection that is broken, rather than closed, where nobody wants what it still brings."""

    transport: Any

    def stopProducing(self) -> None:
        self.transport.abortConnection()


class _Connections(WrappingFactory):
    noisy = False
    protocol = _Connection


def _connected(connection: _Connection) -> Any:
    # Below TLS there is another transport, and below that the socket.
    below = getattr(connection.transport, "transport", connection.transport)
    found = getattr(below, "socket", None)
    if isinstance(found, socket.socket):
        for option in _DEAD_AFTER:
            found.setsockopt(*option)
    return connection.wrappedProtocol


def _refuse_nobody(_host: str, _port: int) -> None:
    """Stand for what the host's own settings name."""
