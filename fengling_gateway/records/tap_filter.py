"""Which requests somebody wants to see while he looks on. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from fengling_gateway.records.ended import Ended

Test = Callable[[Ended], bool]

_KNOWN_ADDRESSES: Final = 4096


@dataclass(frozen=True, slots=True)
class TapFilter:
    """
    Takes what fits everything that is said; of what has several values, one of them.

    Attributes:
        routes, services: ids.
        statuses: lowest and highest.
        slower_than: seconds that it has to have taken.
        clients: addresses, and networks such as ``10.0.0.0/8``.
        methods: as they are sent, which is in capitals.
        path_prefix: of the target.
        tenants: whose requests alone may be seen; None: those of all, and of nobody.
    """

    routes: Collection[str] = ()
    services: Collection[str] = ()
    statuses: Collection[tuple[int, int]] = ()
    slower_than: float = 0.0
    clients: Collection[str] = ()
    methods: Collection[str] = ()
    path_prefix: str = ""
    tenants: Collection[str] | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TapFilter:
        pairs = tuple((low, high) for low, high in values["statuses"])
        return cls(**{**values, "statuses": pairs})

    def to_json(self) -> dict[str, Any]:
        """Return it as `Message.TAP` has it."""
        values = asdict(self)
        return {
            name: list(one) if isinstance(one, Collection) and not isinstance(one, str) else one
            for name, one in values.items()
        }

    def compiled(self) -> Test:
        """
        Return what judges exchanges: by what rules most of them out at the least cost, first.

        Raises:
            ValueError: a client is neither an address nor a network.
        """
        tests = tuple(self._tests())

        def takes(one: Ended) -> bool:
            for test in tests:  # (A generator would cost twice as much.)
                if not test(one):
                    return False
            return True

        return takes

    def _tests(self) -> Iterator[Test]:
        if self.tenants is not None:
            tenants = frozenset(self.tenants)
            yield lambda one: one.tenant in tenants
        if self.routes:
            routes = frozenset(self.routes)
            yield lambda one: one.route in routes
        if self.services:
            services = frozenset(self.services)
            yield lambda one: one.service in services
        if self.statuses:
            wanted = frozenset(
                status for low, high in self.statuses for status in range(low, high + 1)
            )
            yield lambda one: one.status in wanted
        if self.slower_than > 0:
            slower_than = self.slower_than
            yield lambda one: one.seconds >= slower_than
        if self.methods:
            methods = frozenset(name.encode() for name in self.methods)
            yield lambda one: one.head is not None and one.head.method in methods
        if self.path_prefix:
            prefix = self.path_prefix.encode()
            yield lambda one: one.head is not None and one.head.target.startswith(prefix)
        if self.clients:
            is_wanted = _clients(self.clients)
            yield lambda one: is_wanted(one.client)


def network(text: str) -> IPv4Network | IPv6Network:
    """
    Return the network that an address is, or that is written as ``10.0.0.0/8``.

    Raises:
        ValueError: it is neither.
    """
    return ip_network(text, strict=False)


def statuses(text: str) -> tuple[int, int] | None:
    """Return the lowest and highest of ``404``, ``400-499`` or ``4xx``; None for anything else."""
    low, dash, high = text.partition("-")
    if len(text) == 3 and text[1:].lower() == "xx":
        low, dash, high = f"{text[0]}00", "-", f"{text[0]}99"
    found = (low, high if dash else low)
    if not all(len(one) == 3 and one.isascii() and one.isdigit() for one in found):
        return None
    first, last = sorted(map(int, found))
    return first, last


def _clients(texts: Collection[str]) -> Callable[[str], bool]:
    networks = [network(one) for one in texts]

    # (The same clients come again and again.)
    @lru_cache(_KNOWN_ADDRESSES)
    def is_wanted(client: str) -> bool:
        try:
            address = ip_address(client)
        except ValueError:
            return False
        return any(address in one for one in networks)

    return is_wanted
