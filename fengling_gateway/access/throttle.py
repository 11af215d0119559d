"""How often one address may present credentials that are wrong."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address
from typing import Final

FAILURES_PER_SECOND: Final = 5.0
BURST: Final = 5.0

SIGN_INS_PER_SECOND: Final = 0.5
SIGN_INS_AT_ONCE: Final = 10.0
ALL_SIGN_INS_PER_SECOND: Final = 10.0
ALL_SIGN_INS_AT_ONCE: Final = 100.0
"""Of attempts to sign in, which people make: a few in a minute, whole offices in the morning."""

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

    def __init__(self, per_second: float = FAILURES_PER_SECOND, burst: float = BURST) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, address: str, *, now: float) -> bool:
        """Count a failure; whether there have been too many of late."""
        source = _network(address)
        level = self._level(source, now)
        too_many = level < 1
        self._buckets[source] = (level if too_many else level - 1, now)
        self._buckets.move_to_end(source)
        while len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return too_many

    def is_empty(self, address: str, *, now: float) -> bool:
        """Whether the next failure would be too much."""
        return self._level(_network(address), now) < 1

    def _level(self, source: str, now: float) -> float:
        level, at = self._buckets.get(source, (self._burst, now))
        return min(self._burst, level + max(0.0, now - at) * self._per_second)


class SignInThrottle:
    """
    Attempts to sign in that failed, from one address and from all together.

    For what costs us, or somebody else, more than a look: then also who might be right
    has to wait for a moment.
    """

    def __init__(self) -> None:
        self._each = FailureThrottle(SIGN_INS_PER_SECOND, SIGN_INS_AT_ONCE)
        self._all = FailureThrottle(ALL_SIGN_INS_PER_SECOND, ALL_SIGN_INS_AT_ONCE)

    def failed(self, address: str, *, now: float) -> bool:
        """Count a failure; whether there have been too many of late."""
        too_many = self._each.failed(address, now=now)
        return self._all.failed("", now=now) or too_many

    def is_closed(self, address: str, *, now: float) -> bool:
        """Whether there have been so many failures that nothing more is tried."""
        return self._each.is_empty(address, now=now) or self._all.is_empty("", now=now)


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
