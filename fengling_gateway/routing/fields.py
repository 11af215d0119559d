"""Reading the fields of a request that conditions look at.

Every function remembers its last answers: several routes ask about one
request, and clients repeat themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import unquote_to_bytes

_REMEMBERED: Final = 32
"""
Queries and Cookie headers kept parsed. Several routes ask about the same
request, so one would nearly do; 32 also catches clients that repeat themselves.
"""


@lru_cache(maxsize=_REMEMBERED)
def parse_query(query: bytes) -> Mapping[bytes, bytes]:
    """Return the first value of each parameter of a raw query, percent-decoded."""
    values: dict[bytes, bytes] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        values.setdefault(unquote_to_bytes(name), unquote_to_bytes(value))
    return values


@lru_cache(maxsize=_REMEMBERED)
def parse_cookies(header: bytes) -> Mapping[bytes, bytes]:
    """Return the first value of each cookie of a Cookie header, quotes removed."""
    values: dict[bytes, bytes] = {}
    for pair in header.split(b";"):
        name, equals, value = pair.partition(b"=")
        value = value.strip()
        if len(value) > 1 and value[:1] == value[-1:] == b'"':
            value = value[1:-1]
        if equals:
            values.setdefault(name.strip(), value)
    return values


@lru_cache(maxsize=1024)
def parse_address(text: str) -> tuple[int, int]:
    """Return (IP version, number); version 0 for what is no address."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return (0, 0)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return (address.version, int(address))
