"""Proxies in front of an API of ours, and whom they speak for."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any, Final

from fengling_gateway.http.forwarded import client_address, peer_address


class Proxies:
    """
    The networks whose word on the client's address is taken, as ``X-Forwarded-For``.

    Where there are none, the client is whoever connects.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(one, strict=False) for one in networks)

    def __repr__(self) -> str:
        return f"<Proxies {', '.join(map(str, self._networks))}>"

    def client_of(self, request: Any) -> str:
        """Return the address of who asks."""
        peer = peer_address(str(getattr(request.getClientAddress(), "host", "unix")))
        said = request.requestHeaders.getRawHeaders(b"x-forwarded-for")
        if not said or not self._is_one(peer):
            return peer
        return client_address(b", ".join(said), peer, self._is_one)

    def _is_one(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


NO_PROXIES: Final = Proxies()
