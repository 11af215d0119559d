"""Which addresses the gateway may connect to for instances, and why not to others.

Whoever writes the configuration chooses addresses for this host to connect to. Some of
them are nobody's business but the host's own: what listens on loopback, what its cloud
tells it alone. They are refused unless the host's settings allow them (``[upstream]
allow``). Private networks are not: that is where instances are.

An address is judged by every address that it may lead to: IPv6 has several ways of
writing one of IPv4, which systems, NAT64 and tunnels take apart again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
"""What to allow where instances run beside the gateway."""

ADVICE: Final = "[upstream] allow"
"""Where an operator says otherwise."""

METADATA: Final = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",  # AWS, Azure, Google, Oracle, OpenStack and most others
        *("169.254.170.2", "169.254.170.23"),  # credentials of AWS' containers (ECS, EKS)
        "169.254.42.42",  # Scaleway
        "169.254.0.23",  # Tencent
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's agent
        "192.0.0.192",  # Oracle, formerly
        *("fd00:ec2::254", "fd00:ec2::23"),  # AWS
        "fd20:ce::254",  # Google
        "fd00:42::42",  # Scaleway
    )
)
"""Where clouds tell a machine its credentials: a network that is allowed does not include them."""

_REFUSED: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ip_network(network), what)
    for network, what in (
        ("127.0.0.0/8", "loopback"),
        ("::1/128", "loopback"),
        ("0.0.0.0/8", "this host"),
        ("::/128", "this host"),
        ("169.254.0.0/16", "link-local"),
        ("fe80::/10", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("ff00::/8", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN: Final = re.compile(rf"({_OCTET})\.{_OCTET}\.{_OCTET}\.{_OCTET}")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

_LOOKED_AT: Final = frozenset(str(number) for number in (0, 127, 169, *range(224, 256)))
"""First numbers of the IPv4 addresses about which there is something to say, `METADATA` aside."""

_METADATA_TEXTS: Final = frozenset(map(str, METADATA))

_THIS_HOST: Final = IPv4Network("0.0.0.0/8")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE: Final = IPv6Network("::/96")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)

_UNCLEAR: Final = "{} is no address that everybody reads alike"

_KEPT: Final = 4096
"""Judgements remembered; a name has a handful of addresses, and connections come back to them."""

OwnPorts = Iterable[tuple[str, int]]


def nowhere(_: str) -> bool:
    """Stand for knowing no address of this host; what is loopback is one anyway."""
    return False


class UpstreamNetworks:
    """
    What the host's settings make of addresses.

    Args:
        allow: networks that may be connected to although they are refused by default. To an
            address of `METADATA` only one that is this very address leads.
        own: hosts and ports that this gateway listens on; nothing allows them. A host that is
            no address, or a wildcard, stands for all addresses of this host.
        is_here: whether an address is one of this host's.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        own: OwnPorts = (),
        is_here: Callable[[str], bool] = nowhere,
    ) -> None:
        self._allow = tuple(ip_network(one) for one in allow)
        self._own: dict[int, list[Address | None]] = {}
        for host, port in own:
            self._own.setdefault(port, []).append(_listened_on(host))
        self._is_here = is_here
        self._why_not = lru_cache(_KEPT)(self._judge)

    def __repr__(self) -> str:
        return f"<UpstreamNetworks allow={[str(one) for one in self._allow]}>"

    def refusal(self, host: str, port: int) -> str | None:
        """
        Say why no connection may be opened to an address; None where one may.

        Of a name nothing is known before it is resolved, unless it names this host by
        definition (RFC 6761, section 6.3): judge its addresses then, each.
        """
        plain = _PLAIN.fullmatch(host)
        if plain is not None:
            is_usual = plain[1] not in _LOOKED_AT and host not in _METADATA_TEXTS
            if is_usual and port not in self._own:
                return None
        elif ":" not in host:
            return self._of_name(host, port)
        address = _address(host)
        if address is None:
            return _UNCLEAR.format(host)
        why_not = self._why_not(address)
        if why_not is None and port in self._own:
            why_not = self._loop(address, port)
        return why_not

    def _of_name(self, host: str, port: int) -> str | None:
        name = host.lower().removesuffix(".")
        if _NUMBER.fullmatch(name.rpartition(".")[2]):
            return _UNCLEAR.format(host)
        if name == "localhost" or name.endswith(".localhost"):
            reasons = [self.refusal(one, port) for one in ("127.0.0.1", "::1")]
            if None not in reasons:
                return f"{host} is this host: {reasons[0]}"
        return None

    def _judge(self, address: Address) -> str | None:
        for form, one in (("", address), *stands_for(address)):
            what = _kind(one)
            if what is None or self._allows(one, one in METADATA):
                continue
            if not form:
                return f"{address} is {what}: {_advice(one)}"
            if not self._allows(address, one in METADATA):
                return f"{address} stands for {one} ({form}), which is {what}: {_advice(one)}"
        return None

    def _allows(self, address: Address, only_by_itself: bool) -> bool:
        return any(
            address in network and not (only_by_itself and network.num_addresses > 1)
            for network in self._allow
        )

    def _loop(self, address: Address, port: int) -> str | None:
        """Say that a connection would come back to where this gateway listens."""
        met = getattr(address, "ipv4_mapped", None) or address
        if met.is_unspecified:  # which systems take for loopback
            met = ip_address("127.0.0.1" if met.version == 4 else "::1")
        is_here = met.is_loopback or self._is_here(str(met))
        if met in self._own[port] or (is_here and None in self._own[port]):
            return f"{address} with port {port} is this gateway itself: it would be a loop"
        return None


def stands_for(address: Address) -> Iterator[tuple[str, IPv4Address]]:
    """Yield the IPv4 addresses that one of IPv6 may lead to, and by which way of writing them."""
    if not isinstance(address, IPv6Address):
        return
    if address.ipv4_mapped is not None:
        yield "IPv4-mapped", address.ipv4_mapped
    if address.sixtofour is not None:
        yield "6to4", address.sixtofour
    if address.teredo is not None:
        for inner in address.teredo:
            yield "Teredo", inner
    number = int(address)
    last = IPv4Address(number & 0xFFFFFFFF)
    for network, form in (
        (_NAT64, "NAT64"),
        (_COMPATIBLE, "IPv4-compatible"),
        (_TRANSLATED, "IPv4-translated"),
    ):
        if address in network:
            yield form, last
    if number >> 32 & 0xFFFFFFFF in _ISATAP:
        yield "ISATAP", last
    if address in _LOCAL_NAT64:
        yield from (("NAT64", inner) for inner in _by_length(number) if inner not in _THIS_HOST)


def _by_length(number: int) -> Iterator[IPv4Address]:
    """Yield what RFC 6052, section 2.2, finds in an address for each length of prefix from 48 on."""
    above, below = number >> 64, number & 0xFFFFFFFFFFFFFFFF
    for bits in (16, 8, 0):  # of it before the octet that is always 0
        head = above & ((1 << bits) - 1)
        tail = below >> (24 + bits) & ((1 << (32 - bits)) - 1)
        yield IPv4Address(head << (32 - bits) | tail)
    yield IPv4Address(number & 0xFFFFFFFF)


def _kind(address: Address) -> str | None:
    if address in METADATA:
        return "a cloud's metadata" + (" (link-local)" if address.is_link_local else "")
    return next((what for network, what in _REFUSED if address in network), None)


def _advice(address: Address) -> str:
    return f"{ADVICE} does not name it" + (" by itself" if address in METADATA else "")


def is_address(host: str) -> bool:
    """Whether a host is no name."""
    return _address(host) is not None


def _address(host: str) -> Address | None:
    try:
        # What comes behind % is which link of this host is meant, and no other address.
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _listened_on(host: str) -> Address | None:
    address = _address(host)
    return None if address is None or address.is_unspecified else address
