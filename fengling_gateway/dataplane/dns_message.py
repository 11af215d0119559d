"""Questions to a DNS server, and what its answers say: pure.

The wire format is Twisted's (`twisted.names.dns`); what an answer means is read
here. `twisted.names` is slow to import and few workers need it, so nothing else
imports this module before there is a name to resolve.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from twisted.names import dns

from fengling_gateway.dataplane.dns_outcome import Found, Missing, Outcome, Unknown

A: Final = dns.A
AAAA: Final = dns.AAAA

MAX_ALIASES: Final = 16
"""CNAME records that are followed, all within one answer."""

_FAMILIES: Final = {A: socket.AF_INET, AAAA: socket.AF_INET6}
_HEADER: Final = struct.Struct("!6H")
_REASONS: Final = {
    dns.EFORMAT: "FORMERR",
    dns.ESERVER: "SERVFAIL",
    dns.ENOTIMP: "NOTIMP",
    dns.EREFUSED: "REFUSED",
}


class Truncated(NamedTuple):
    """The answer does not fit into a datagram."""


def question(number: int, name: str, kind: int) -> bytes:
    """Return a recursive question for a name as `names_to_ask` gives it."""
    message = dns.Message(number, recDes=1)
    message.queries = [dns.Query(name.encode("ascii"), kind)]
    return message.toStr()


def read_answer(data: bytes, number: int, name: str, kind: int) -> Outcome | Truncated | None:
    """Return what an answer to `question` says; None where it is no answer to it."""
    message = dns.Message()
    try:
        message.fromStr(data)
    except Exception:  # its records may fail with anything
        return None
    if not _answers(message, number, name, kind):
        return None
    if message.trunc:
        return Truncated()
    if len(message.answers) != _HEADER.unpack_from(data)[3]:
        return None  # cut off, which Twisted does not tell
    if message.rCode == dns.ENAME:
        return Missing(_negative_ttl(message.authority), exists=False)
    if message.rCode != dns.OK:
        reason = _REASONS.get(message.rCode, f"error {message.rCode}")
        return Unknown(f"the DNS server answers {reason}")
    return _found(message.answers, name, kind) or Missing(_negative_ttl(message.authority))


def _answers(message: dns.Message, number: int, name: str, kind: int) -> bool:
    if message.id != number or not message.answer or len(message.queries) != 1:
        return False
    asked = message.queries[0]
    return asked.type == kind and asked.cls == dns.IN and _text(asked.name) == name.lower()


def _text(name: dns.Name) -> str:
    text: str = name.name.decode("latin-1").lower()
    return text


def _found(records: Sequence[dns.RRHeader], name: str, kind: int) -> Found | None:
    """Follow aliases from the name to its addresses."""
    owner, ttl = name.lower(), float("inf")
    aliases = {_text(one.name): one for one in records if one.type == dns.CNAME}
    for _ in range(MAX_ALIASES):
        alias = aliases.get(owner)
        if alias is None:
            break
        target: Any = alias.payload
        owner, ttl = _text(target.name), min(ttl, alias.ttl)
    addresses: dict[str, None] = {}
    for one in records:
        if one.type == kind and _text(one.name) == owner:
            record: Any = one.payload
            addresses[socket.inet_ntop(_FAMILIES[kind], record.address)] = None
            ttl = min(ttl, one.ttl)
    return Found(tuple(addresses), float(ttl)) if addresses else None


def _negative_ttl(authority: Iterable[dns.RRHeader]) -> float:
    """Return for how long a name is missing (RFC 2308, 5); 0 where nobody says."""
    ttl = float("inf")
    for one in authority:
        if one.type == dns.SOA:
            record: Any = one.payload
            ttl = min(ttl, one.ttl, record.minimum)
    return 0.0 if ttl == float("inf") else ttl
