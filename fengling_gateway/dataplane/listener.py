"""What a connection knows of its beginnings: where it was accepted, and from whom."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from fengling_gateway.dataplane.rarely import Rarely
from fengling_gateway.dataplane.settings import DataPlaneSettings
from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.dataplane.tls_session import TlsSession
from fengling_gateway.http.headers import Pair


class Listener:
    """
    What all connections of one listener share. Times are in seconds.

    Attributes:
        name: what routes call it.
        scheme: ``http`` or ``https``.
        limits: of a request's head.
        header_deadline, keepalive_idle, keepalive_requests, keepalive_age, body_grace: see
            `DataPlaneSettings`.
        min_body_bytes: how much of a body must have come after each `body_grace`.
        tls: its `ServerTls`; None where it speaks plain HTTP.
        rarely: what its connections log by.
    """

    __slots__ = (
        "_balancers",
        "body_grace",
        "header_deadline",
        "keepalive_age",
        "keepalive_idle",
        "keepalive_requests",
        "limits",
        "min_body_bytes",
        "name",
        "rarely",
        "scheme",
        "tls",
    )

    def __init__(self, name: str, settings: DataPlaneSettings, tls: Any = None) -> None:
        own = settings.of_listener(name)
        self.name = name
        self.scheme = b"http" if tls is None else b"https"
        self.tls = tls
        self.rarely = Rarely()
        self._balancers = [ip_network(one) for one in own.proxy_protocol]
        self.limits = own.head_limits()
        self.header_deadline = own.header_deadline
        self.keepalive_idle = own.keepalive_idle
        self.keepalive_requests = own.keepalive_requests
        self.keepalive_age = own.keepalive_age
        self.body_grace = own.body_grace
        self.min_body_bytes = round(own.min_body_rate * own.body_grace)

    def __repr__(self) -> str:
        return f"<Listener {self.name}>"

    def is_behind(self, peer: str) -> bool:
        """Whether a peer is one that has to say by a PROXY header whom it speaks for."""
        if not self._balancers:
            return False
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._balancers)


class Peer:
    """
    Who is at the other end of a client's connection, for as long as it lives.

    Attributes:
        listener: that accepted it.
        name: the client's address; ``address`` is the same as bytes.
        pairs: headers that tell instances more about it.
        tls: what its handshake has come to; None: it speaks plain HTTP.
    """

    __slots__ = ("_is_trusted", "_trust", "address", "listener", "name", "pairs", "tls")

    def __init__(
        self,
        listener: Listener,
        name: str,
        pairs: tuple[Pair, ...] = (),
        tls: TlsSession | None = None,
    ) -> None:
        self.tls = tls
        self.listener = listener
        self.name = name
        self.address = name.encode()
        self.pairs = pairs
        self._trust: Any = None
        self._is_trusted = False

    def __repr__(self) -> str:
        return f"<Peer {self.name} of {self.listener.name}>"

    def is_trusted(self, plane: PlaneState) -> bool:
        """Whether its word on forwarded headers counts, by the present configuration."""
        if self._trust is not plane.trust:
            self._trust = plane.trust
            self._is_trusted = plane.is_trusted(self.name)
        return self._is_trusted
