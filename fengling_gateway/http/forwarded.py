"""The headers that tell an instance for whom it is asked.

From a peer that is not trusted, what the request says about its origin is
replaced; a trusted one's word is kept and the chain grown by its own address.
"""

from __future__ import annotations

from fengling_gateway.http.head import RequestHead
from fengling_gateway.http.headers import Pair


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
