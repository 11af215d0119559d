"""Opening a connection to an instance that has a name: its addresses, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.protocol import ClientFactory

from fengling_gateway.dataplane.resolver import Resolver
from fengling_gateway.http.forward_error import ForwardError

if TYPE_CHECKING:
    from fengling_gateway.dataplane.http1_upstream import UpstreamConnection

MAX_TRIES: Final = 8
"""Addresses that one connection tries; others have others as their first."""

HOPELESS_SECONDS: Final = 0.25
"""An address that has not accepted for so long when its time is over has failed."""


class Dialing:
    """
    Opens one connection; to its connection it is what a connector of Twisted's is.

    Of the time that there is, each address gets an equal share of what is left.

    Args:
        connect: opens a connection to an address by a factory, and returns its connector.
        factory: makes the protocol, once.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        resolver: Resolver,
        connect: Callable[[str, ClientFactory], Any],
        connection: UpstreamConnection,
        factory: ClientFactory,
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._connect = connect
        self._connection = connection
        self._factory = factory
        self._name = connection.instance.host
        self._left: list[str] = []
        self._address = ""
        self._began = 0.0
        self._connector: Any = None
        self._call: Any = None
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Dialing {self._name} {self._address}>"

    def start(self) -> None:
        """Begin; how it went is told later in any case."""
        addresses = self._resolver.ask(self._name, user_of(self._connection.instance), self._told)
        if addresses:
            self._told(addresses)
        elif addresses is not None:
            self._call = self._reactor.callLater(0, self._end, ForwardError.RESOLVE_FAILED)

    def disconnect(self) -> None:
        """Give up."""
        if self._is_over:
            return
        if self._connector is None:
            self._resolver.forget(self._name, self._told)
        elif self._reactor.seconds() - self._began >= HOPELESS_SECONDS:
            self._resolver.not_connected(self._name, self._address)
        self._end(ForwardError.CONNECT_FAILED)

    def _told(self, addresses: list[str]) -> None:
        if self._is_over:
            return
        self._left = addresses[:MAX_TRIES]
        if self._left:
            self._try_next()
        else:
            self._end(ForwardError.RESOLVE_FAILED)

    def _try_next(self) -> None:
        self._address = self._left.pop(0)
        self._began = self._reactor.seconds()
        if self._left:
            share = self._connection.seconds_left() / (len(self._left) + 1)
            self._call = self._reactor.callLater(max(0.0, share), self._too_slow)
        self._connector = self._connect(self._address, _Try(self, self._factory))

    def _too_slow(self) -> None:
        self._call = None
        self._connector.disconnect()

    def _end(self, error: ForwardError) -> None:
        self._close()
        self._connection.connect_failed(error)

    def _close(self) -> None:
        self._is_over = True
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.disconnect()

    # What an attempt reports

    def connected(self) -> None:
        self._connector = None
        self._close()
        self._resolver.connected(self._name, self._address, self._connection)

    def lost(self) -> None:
        self._resolver.disconnected(self._name, self._connection)

    def failed(self) -> None:
        if self._is_over:
            return
        self._connector = None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._resolver.not_connected(self._name, self._address)
        if self._left:
            self._try_next()
        else:
            self._end(ForwardError.CONNECT_FAILED)


class _Try(ClientFactory):
    """Tries one address."""

    noisy = False

    def __init__(self, dialing: Dialing, factory: ClientFactory) -> None:
        self._dialing = dialing
        self._factory = factory

    def buildProtocol(self, addr: Any) -> Any:
        self._dialing.connected()
        return self._factory.buildProtocol(addr)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self._dialing.failed()

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self._dialing.lost()


def user_of(instance: Any) -> tuple[str, str, int]:
    """Return what stands for an instance with `Resolver`: one at another address is another."""
    return (instance.id, instance.scheme, instance.port)
