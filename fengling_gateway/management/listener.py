"""The management API's own port."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.management.api import ManagementApi
from fengling_gateway.management.gate import Gate
from fengling_gateway.management.gateway import ManagedGateway
from fengling_gateway.management.port import bind
from fengling_gateway.management.site import ManagementSite


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
        self._refusals: Counter[str] = Counter()
        self.resource = management_resource(
            gateway=gateway,
            tokens=TokenRing(token_keys),
            clock=reactor,
            wall_clock=wall_clock,
            refusals=self._refusals,
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
        site = ManagementSite(self.resource, reactor=self._reactor, refusals=self._refusals)
        with bound or bind(self._address) as listening:
            self._port = self._reactor.adoptStreamPort(listening.fileno(), listening.family, site)

    def stop(self) -> Deferred[None]:
        """Close the port; answers under way are finished by their connections."""
        if self._port is None:
            return succeed(None)
        return maybeDeferred(self._port.stopListening).addCallback(lambda _: None)


def management_resource(
    *,
    gateway: ManagedGateway,
    tokens: TokenRing,
    clock: Any,
    wall_clock: Callable[[], float],
    refusals: Counter[str],
) -> Gate:
    """Return the root resource: the gate with the API behind it."""
    api = ManagementApi(gateway=gateway, clock=clock, refusals=refusals)
    return Gate(
        inside=api.app.resource(),
        tokens=tokens,
        clock=clock,
        wall_clock=wall_clock,
        refusals=refusals,
    )
