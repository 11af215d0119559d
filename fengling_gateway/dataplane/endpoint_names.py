"""
Names for Twisted's endpoints, resolved as the data plane does: without a thread.

A thread that waits for a DNS server can't be stopped, and the process would end
with the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
)
from zope.interface import implementer

from fengling_gateway.dataplane.dns_outcome import Found, Outcome
from fengling_gateway.dataplane.resolver import Lookup, Lookups

Refusal = Callable[[str, int], str | None]
"""Says why no connection may be opened to an address and port; None where one may."""


class _Receiver(Protocol):
    def resolutionBegan(self, resolution: Any) -> None: ...

    def addressResolved(self, address: Any) -> None: ...

    def resolutionComplete(self) -> None: ...


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        raise NotImplementedError("all of them are ended together")


@implementer(IHostnameResolver)
class Names:
    """
    Resolves names for the endpoints of one undertaking.

    `cancel` ends what is under way; nothing is told after it.

    Args:
        refusal: asked of each address; who resolves a name is not told of those
            that are refused.

    Attributes:
        refused: why the last of them was; empty if none was.
    """

    def __init__(self, lookups: Lookups, refusal: Refusal) -> None:
        self._lookups = lookups
        self._refusal = refusal
        self.refused = ""
        self._running: list[Lookup] = []

    def resolveHostName(
        self,
        resolutionReceiver: _Receiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> _Resolution:
        resolution = _Resolution(hostName)

        def tell(outcome: Outcome) -> None:
            for one in outcome.addresses if isinstance(outcome, Found) else ():
                why = self._refusal(one, portNumber)
                if why is not None:
                    self.refused = why
                    continue
                kind = IPv4Address if ip_address(one).version == 4 else IPv6Address
                resolutionReceiver.addressResolved(kind("TCP", one, portNumber))
            resolutionReceiver.resolutionComplete()

        resolutionReceiver.resolutionBegan(resolution)
        known = self._at_once(hostName)
        if known is not None:
            tell(known)
            return resolution
        lookup = self._lookups.new(hostName, tell)
        self._running.append(lookup)
        lookup.start()
        return resolution

    def _at_once(self, name: str) -> Found | None:
        try:
            return Found((str(ip_address(name)),), 0.0)
        except ValueError:
            return self._lookups.at_once(name)

    def cancel(self) -> None:
        running, self._running = self._running, []
        for lookup in running:
            lookup.cancel()


@implementer(IReactorPluggableNameResolver)
class ResolvingReactor:
    """A reactor that resolves names so, and does everything else as before."""

    def __init__(self, reactor: Any, names: Names) -> None:
        self._reactor = reactor
        self.nameResolver = names

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError("it has its own")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
