"""How often one address may present credentials that are wrong."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address
from typing import Final

FAILURES_PER_SECOND: Final = 5.0
BURST: Final = 5.0

MAX_ADDRESSES: Final = 4096
"""Addresses remembered; the longest silent one is forgotten first."""

_NETWORK_BITS: Final = 64
"""Of an IPv6 address: what one customer has, who can choose the other 64 for each request."""


class FailureThrottle:
    """
    A token bucket per address, filled by time and emptied by failures.

    It never refuses what is right: who holds a valid token gets through even
    from an address that somebody else guesses from.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, address: str, *, now: float) -> bool:
        """Count a failure; whether there have been too many of late."""
        source = _network(address)
        level, at = self._buckets.pop(source, (BURST, now))
        level = min(BURST, level + max(0.0, now - at) * FAILURES_PER_SECOND)
        too_many = level < 1
        self._buckets[source] = (level if too_many else level - 1, now)
        while len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return too_many


def _network(address: str) -> str:
    """Return whom an address is of: IPv6 by its /64, unless IPv4 is within."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - _NETWORK_BITS):x}/64"
