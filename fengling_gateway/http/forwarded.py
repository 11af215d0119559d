"""The headers that tell an instance for whom it is asked.

From a peer that is not trusted, what the request says about its origin is
replaced; a trusted one's word is kept and the chain grown by its own address.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from fengling_gateway.http.head import RequestHead
from fengling_gateway.http.headers import Pair

_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\d*)?|([0-9.]+):\d*")


def forwarded_pairs(head: RequestHead, peer: bytes, scheme: bytes) -> list[Pair]:
    """
    Return the forwarded headers of a request.

    Args:
        peer: address of who sent it to us, an IPv4-mapped one in IPv4 form.
        scheme: of the listener, ``http`` or ``https``.
    """
    host = head.host_header
    if head.is_trusted:
        if head.forwarded_for:
            peer = head.forwarded_for + b", " + peer
        scheme = head.forwarded_proto or scheme
        host = head.forwarded_host or host
    pairs = [(b"X-Forwarded-For", peer), (b"X-Forwarded-Proto", scheme)]
    if host is not None:
        pairs.append((b"X-Forwarded-Host", host))
    return pairs


def hops(via: bytes, pseudonym: bytes) -> int:
    """Return how often a Via header names us, whatever protocol we were spoken to in."""
    return sum(entry.split()[1:2] == [pseudonym] for entry in via.split(b","))


def peer_address(host: str) -> str:
    """Return a peer's address, an IPv4-mapped one (``::ffff:192.0.2.1``) in IPv4 form."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def client_address(chain: bytes, peer: str, is_trusted: Callable[[str], bool]) -> str:
    """
    Return the address of the client that trusted proxies speak for.

    The chain grows to the right, and what a stranger has written into it stays to
    the left: so it is the last address that is none of a trusted proxy. What is no
    address ends the search with the proxy that said it.

    Args:
        chain: X-Forwarded-For, from a peer that is trusted.
        peer: who brought it.
    """
    client = peer
    for entry in reversed(chain.decode("latin-1").split(",")):
        text = entry.strip(" \t")
        if "%" in text:  # a zone: of another host, and any text at all, which logs are not to have
            return client
        match = _WITH_PORT.fullmatch(text)
        try:
            client = peer_address(str(ip_address(match[1] or match[2] if match else text)))
        except ValueError:
            return client
        if not is_trusted(client):
            return client
    return client
