"""Whose request it is: the keys under which requests count together.

A key begins with a letter for what tells it, so that nobody can call himself by
another's address. It is short, whatever a client sends.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from fengling_gateway.auth.principal import Principal
from fengling_gateway.limiting import limit as kinds
from fengling_gateway.limiting.limit import ConcurrencyLimit, Limit

MAX_KEY_BYTES: Final = 64
"""What is longer is told by its hash."""

IPV6_SITE_BYTES: Final = 8
"""A /64 is what one site gets: whoever has one has 2^64 addresses."""


def key_of(
    limit: Limit | ConcurrencyLimit,
    address: str,
    route_id: str,
    tenant: str | None,
    principal: Principal | None,
    headers: Iterable[tuple[bytes, bytes]],
) -> bytes:
    """
    Return the key of a request; that of its address where it can't be told as it should.

    Args:
        address: of the client, as the gateway believes it.
        headers: of the request, names in any case.
    """
    kind = limit.key_kind
    if kind == kinds.ADDRESS:
        return address_key(address)
    if kind == kinds.ROUTE:
        return b"r" + route_id.encode()
    if kind == kinds.ALL:
        return b""
    if kind == kinds.HEADER:
        value = _header(headers, limit.key_header)
        return _short(b"h" + value) if value else address_key(address)
    if kind == kinds.TENANT:
        return address_key(address) if tenant is None else b"t" + tenant.encode()
    if principal is None or (kind == kinds.API_KEY and principal.method != "api_key"):
        return address_key(address)
    whose = f"{principal.method}\0{principal.source}\0{principal.subject}"
    # (JSON has halves of surrogate pairs, and so may a subject.)
    return _short(b"s" + whose.encode(errors="surrogatepass"))


@lru_cache(maxsize=8192)
def address_key(address: str) -> bytes:
    """Return the key of an address: an IPv4 address, however it is written, or an IPv6 /64."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return _short(b"n" + address.encode(errors="replace"))
    if isinstance(parsed, IPv4Address):
        return b"a" + parsed.packed
    if parsed.ipv4_mapped is not None:
        return b"a" + parsed.ipv4_mapped.packed
    return b"a" + parsed.packed[:IPV6_SITE_BYTES]


def _header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    """Return the first value that is not empty; empty where there is none."""
    for name, value in headers:
        if len(name) == len(wanted) and value and name.lower() == wanted:
            return value
    return b""


def _short(key: bytes) -> bytes:
    if len(key) <= MAX_KEY_BYTES:
        return key
    return key[:1] + blake2b(key, digest_size=16).digest()
