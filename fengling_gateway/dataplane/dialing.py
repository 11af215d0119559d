"""Opening connections to instances that have names: their addresses, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger

from fengling_gateway.balancing.instance import Instance
from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.dataplane.resolver import Resolver, ResolverLimits
from fengling_gateway.http.forward_error import ForwardError

if TYPE_CHECKING:
    from fengling_gateway.dataplane.http1_upstream import UpstreamConnection
    from fengling_gateway.dataplane.state import PlaneState
    from fengling_gateway.dataplane.transports import Transports

_log = Logger()

MAX_TRIES: Final = 8
"""Addresses that one connection tries; others have others as their first."""

HOPELESS_SECONDS: Final = 0.25
"""An address that has not accepted for so long when its time is over has failed."""

MAX_SHOWN: Final = 1000
"""Names that a worker tells of; those that can't be resolved come first."""

MAX_REFUSED_LOGGED: Final = 1000
"""Refused addresses of names that the log has a line for, each once."""


class NamedInstances:
    """The instances of a worker that have names."""

    def __init__(self, *, reactor: Any, plane: PlaneState, transports: Transports) -> None:
        settings = plane.settings
        self._reactor = reactor
        self._transports = transports
        self._guard = AddressGuard(plane)
        files = NameFiles(
            resolv_conf=settings.dns_resolv_conf,
            hosts=settings.dns_hosts,
            servers=tuple((host, port) for host, port in settings.dns_servers),
        )
        self._resolver = Resolver(
            clock=reactor,
            lookups=Lookups(reactor=reactor, files=files),
            limits=ResolverLimits(
                timeout=settings.dns_timeout,
                min_ttl=settings.dns_min_ttl,
                max_ttl=settings.dns_max_ttl,
                max_stale=settings.dns_max_stale,
            ),
            counters=plane.counters,
        )

    def __repr__(self) -> str:
        return f"<NamedInstances {self._resolver}>"

    def dial(self, connection: UpstreamConnection, factory: ClientFactory) -> Dialing:
        """Open a connection, and return what stands for its connector."""
        dialing = Dialing(
            reactor=self._reactor,
            resolver=self._resolver,
            transports=self._transports,
            guard=self._guard,
            connection=connection,
            factory=factory,
        )
        dialing.start()
        if connection.is_to_retired:
            # For somebody who was queued, and has asked for its name once more.
            self.retired(connection.instance)
        return dialing

    def retired(self, instance: Instance) -> None:
        """Note that an instance is gone; nobody looks its name up any more, if it was the last."""
        self._resolver.release(instance.host, user_of(instance))

    def to_json(self) -> list[dict[str, Any]]:
        """Return what is known of names, see `Resolver.to_json`, and which addresses are refused."""
        known = self._resolver.to_json(MAX_SHOWN)
        return [{**one, "refused": self._guard.refusals(one["addresses"])} for one in known]

    def stop(self) -> None:
        self._resolver.stop()


class AddressGuard:
    """Judges the addresses that names turn out to have; logs and counts those that are refused."""

    def __init__(self, plane: PlaneState) -> None:
        self._networks: UpstreamNetworks = plane.settings.upstream_networks()
        self._counters = plane.counters
        self._logged: set[tuple[str, str, int]] = set()

    def permitted(self, name: str, addresses: list[str], port: int) -> list[str]:
        """Return those of a name's addresses that may be connected to."""
        found = []
        for address in addresses:
            reason = self._networks.refusal(address, port)
            if reason is None:
                found.append(address)
            else:
                self._refused(name, address, port, reason)
        return found

    def refusals(self, addresses: list[str]) -> dict[str, str]:
        """Return why some addresses are refused whatever the port."""
        reasons = ((address, self._networks.refusal(address, 0)) for address in addresses)
        return {address: reason for address, reason in reasons if reason is not None}

    def _refused(self, name: str, address: str, port: int, reason: str) -> None:
        self._counters.upstream_addresses_refused += 1
        told = name, address, port
        if told not in self._logged and len(self._logged) < MAX_REFUSED_LOGGED:
            self._logged.add(told)
            _log.warn(
                "{name} has an address that is not connected to: {reason}",
                name=name,
                reason=reason,
                log_id="upstream.address_refused",
            )


class Dialing:
    """
    Opens one connection; to its connection it is what a connector of Twisted's is.

    Of the time that there is, each address gets an equal share of what is left. Each is judged
    before it is connected to: whoever answers for a name decides for nobody else's networks.

    Args:
        factory: makes the protocol, once.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        resolver: Resolver,
        transports: Transports,
        guard: AddressGuard,
        connection: UpstreamConnection,
        factory: ClientFactory,
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._transports = transports
        self._guard = guard
        self._connection = connection
        self._factory = factory
        instance = connection.instance
        self._name = instance.host
        self._port = instance.port
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
        if addresses is not None:
            self._take(addresses, self._end_later)

    def disconnect(self) -> None:
        """Give up; once TCP is connected there may still be a handshake to give up."""
        connector = self._connector
        if connector is not None:
            if self._reactor.seconds() - self._began >= HOPELESS_SECONDS:
                self._resolver.not_connected(self._name, self._address)
        elif not self._is_over:
            self._resolver.forget(self._name, self._told)
        if not self._is_over:
            self._end(ForwardError.CONNECT_FAILED)
        elif connector is not None:
            connector.disconnect()

    def _told(self, addresses: list[str]) -> None:
        if not self._is_over:
            self._take(addresses, self._end)

    def _take(self, addresses: list[str], end: Callable[[ForwardError], None]) -> None:
        self._left = self._guard.permitted(self._name, addresses, self._port)[:MAX_TRIES]
        if self._left:
            self._try_next()
        else:
            end(ForwardError.ADDRESS_REFUSED if addresses else ForwardError.RESOLVE_FAILED)

    def _try_next(self) -> None:
        self._address = self._left.pop(0)
        self._began = self._reactor.seconds()
        if self._left:
            share = self._connection.seconds_left() / (len(self._left) + 1)
            self._call = self._reactor.callLater(max(0.0, share), self._too_slow)
        self._connector = self._transports.connect(
            self._reactor, self._address, self._port, _Try(self, self._factory)
        )

    def _too_slow(self) -> None:
        self._call = None
        self._connector.disconnect()

    def _end_later(self, error: ForwardError) -> None:
        self._call = self._reactor.callLater(0, self._end, error)

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
        connector, self._connector = self._connector, None
        self._close()
        self._connector = connector
        self._resolver.connected(self._name, self._address, self._connection)

    def lost(self) -> None:
        self._connector = None
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


def user_of(instance: Instance) -> tuple[str, str, int]:
    """Return what stands for an instance with `Resolver`: one at another address is another."""
    return (instance.id, instance.scheme, instance.port)
