"""The management API's own port."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.gate import Gate
from fengling_gateway.access.port import bind
from fengling_gateway.access.site import BoundedSite
from fengling_gateway.access.verifiers import IssuerTokens, LocalTokens, Verifier
from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.tokens import AUDIENCE, TokenRing
from fengling_gateway.management.api import ManagementApi
from fengling_gateway.management.gateway import ManagedGateway

OPEN_PATHS: Final = frozenset((b"/livez", b"/readyz", b"/metrics"))
"""For probes and scrapers, which hold no tokens; of the configuration they tell ids and numbers."""

Issuers = Callable[[], Mapping[str, Issuer]]


def _nobody(issuer_id: str) -> None:
    """Nobody fetches keys."""


@dataclass(frozen=True, slots=True)
class Trust:
    """
    Whose tokens are believed besides our own.

    Attributes:
        names: ids of issuers.
        audience: that their tokens must name.
        issuers: those that there are now, by what their tokens say in ``iss``.
        want: is told the id of one whose token names an unknown key.
    """

    names: tuple[str, ...] = ()
    audience: str = AUDIENCE
    issuers: Issuers = dict
    want: Callable[[str], object] = _nobody


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
        trust: Trust | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._port: IListeningPort | None = None
        self._refusals: Counter[str] = Counter()
        self._tokens = LocalTokens(TokenRing(token_keys), gateway.management_token)
        self.resource = management_resource(
            gateway=gateway,
            verifiers=(self._tokens, *_believed(trust or Trust(), gateway)),
            clock=reactor,
            wall_clock=wall_clock,
            refusals=self._refusals,
        )

    def replace_token_keys(self, keys: Iterable[str]) -> None:
        """
        Verify tokens by other keys from the next request on.

        Raises:
            WeakKeyError: as at the beginning; then the old ones stay.
        """
        self._tokens.ring = TokenRing(keys)

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
        site = BoundedSite(self.resource, reactor=self._reactor, refusals=self._refusals)
        with bound or bind(self._address, "management.address") as listening:
            self._port = self._reactor.adoptStreamPort(listening.fileno(), listening.family, site)

    def stop(self) -> Deferred[None]:
        """Close the port; answers under way are finished by their connections."""
        if self._port is None:
            return succeed(None)
        return maybeDeferred(self._port.stopListening).addCallback(lambda _: None)


def _believed(trust: Trust, gateway: ManagedGateway) -> list[Verifier]:
    if not trust.names:
        return []
    believed = IssuerTokens(
        trust.issuers,
        names=trust.names,
        audience=trust.audience,
        kept=gateway.management_token,
        want=trust.want,
    )
    return [believed]


def management_resource(
    *,
    gateway: ManagedGateway,
    verifiers: Iterable[Verifier],
    clock: Any,
    wall_clock: Callable[[], float],
    refusals: Counter[str],
) -> Gate:
    """Return the root resource: the gate with the API behind it."""
    trail = AuditTrail(clock=clock.seconds, wall_clock=wall_clock)
    api = ManagementApi(
        gateway=gateway, trail=trail, clock=clock, wall_clock=wall_clock, refusals=refusals
    )
    return Gate(
        inside=api.app.resource(),
        verifiers=tuple(verifiers),
        trail=trail,
        open_paths=OPEN_PATHS,
        clock=clock,
        wall_clock=wall_clock,
        refusals=refusals,
    )
