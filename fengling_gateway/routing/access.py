"""The policy ``access``, compiled: from which addresses a route may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from fengling_gateway.routing.fields import parse_address


class Networks:
    """Some networks, of which it is known whether an address is in one."""

    __slots__ = ("_by_mask",)

    def __init__(self, networks: Iterable[str]) -> None:
        # By version and mask, so that a thousand networks are a handful of look-ups.
        by_mask: dict[tuple[int, int], set[int]] = {}
        for text in networks:
            network = _as_ipv4(ip_network(text, strict=False))
            key = (network.version, int(network.netmask))
            by_mask.setdefault(key, set()).add(int(network.network_address))
        self._by_mask = tuple((*key, frozenset(found)) for key, found in by_mask.items())

    def __repr__(self) -> str:
        return f"<Networks of {len(self._by_mask)} sizes>"

    def __bool__(self) -> bool:
        return bool(self._by_mask)

    def contains(self, version: int, number: int) -> bool:
        for wanted, mask, networks in self._by_mask:
            if version == wanted and number & mask in networks:
                return True
        return False


def _as_ipv4(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return a network of IPv4-mapped addresses as one of IPv4, which its clients are known by."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return ip_network((mapped, network.prefixlen - 96))


class AccessList:
    """
    Who is denied stays out; where there are some who are allowed, all others, too.

    What has no address (a UNIX socket) is in no network.
    """

    __slots__ = ("_allowed", "_denied")

    def __init__(self, policy: Mapping[str, Any]) -> None:
        self._allowed = Networks(policy["allow"])
        self._denied = Networks(policy["deny"])

    def __repr__(self) -> str:
        return f"<AccessList allow={self._allowed} deny={self._denied}>"

    def takes(self, address: str) -> bool:
        version, number = parse_address(address)
        if self._denied.contains(version, number):
            return False
        return not self._allowed or self._allowed.contains(version, number)
