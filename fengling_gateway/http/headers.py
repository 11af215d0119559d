"""What each header is to a gateway: forwarded, its own business, or dropped.

A table maps a header's lower-case name to its `Role`; names that are not in
the table are forwarded as they are. The table for requests is made once per
configuration, because the names of the identity headers are part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

Pair = tuple[bytes, bytes]
"""A header line: name as it was written, and value."""

NO_PAIRS: Final[list[Pair]] = []
"""What nobody changes."""

# Plain integers instead of an enum: they are compared for every header of every
# message, and an enum's comparison costs ten times as much.
DROP: Final = 0
HOST: Final = 1
CONTENT_LENGTH: Final = 2
TRANSFER_ENCODING: Final = 3
CONNECTION: Final = 4
EXPECT: Final = 5
FORWARDED_FOR: Final = 6
FORWARDED_PROTO: Final = 7
FORWARDED_HOST: Final = 8
REQUEST_ID: Final = 9
DATE: Final = 10
UPGRADE: Final = 11
IF_TRUSTED: Final = 12
TE: Final = 13
TRAILER: Final = 14
VIA: Final = 15
KEEP_ALIVE: Final = 16
AUTHORIZATION: Final = 17
PREFLIGHT: Final = 18
TENANT: Final = 19
DEBUG: Final = 20
TRACEPARENT: Final = 21
TRACESTATE: Final = 22
TRUSTED_TRACEPARENT: Final = 23
TRUSTED_TRACESTATE: Final = 24

HOP_BY_HOP: Final = frozenset(
    {
        b"alt-svc",
        b"close",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
    }
)
"""Concerns of one connection, beside those with a role of their own (RFC 9110, 7.6.1)."""

DEFAULT_IDENTITY_HEADERS: Final = ("X-Tenant-Id", "X-User-Id", "X-User-Name", "X-Roles")

_SAID_BY_PROXIES: Final = (
    *(b"x-forwarded-access-token", b"x-forwarded-by", b"x-forwarded-client-cert"),
    *(b"x-forwarded-email", b"x-forwarded-groups", b"x-forwarded-method", b"x-forwarded-path"),
    *(b"x-forwarded-port", b"x-forwarded-preferred-username", b"x-forwarded-prefix"),
    *(b"x-forwarded-protocol", b"x-forwarded-scheme", b"x-forwarded-server", b"x-forwarded-ssl"),
    *(b"x-forwarded-uri", b"x-forwarded-url", b"x-forwarded-user"),
    *(b"front-end-https", b"x-scheme", b"x-url-scheme"),
    *(b"true-client-ip", b"x-client-ip", b"x-cluster-client-ip", b"x-real-ip"),
    *(b"x-original-forwarded-for", b"x-original-host", b"x-original-method", b"x-original-uri"),
    *(b"x-original-url", b"x-rewrite-url"),
)
"""
What servers and frameworks believe of a proxy: who the client is and how it came, and what it
asked for, which some take for the path in place of the one that was matched.
"""

_FORWARDED: Final[dict[bytes, int]] = {
    b"forwarded": DROP,
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-forwarded-proto": FORWARDED_PROTO,
    b"x-forwarded-host": FORWARDED_HOST,
    **dict.fromkeys(_SAID_BY_PROXIES, IF_TRUSTED),
    b"x-gateway-worker": DROP,
    b"x-gateway-revision": DROP,
    b"x-gateway-error": DROP,
    b"client-cert": DROP,
    b"client-cert-chain": DROP,
}

_FRAMING: Final[dict[bytes, int]] = {
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"upgrade": UPGRADE,
    **dict.fromkeys(HOP_BY_HOP, DROP),
    b"trailer": TRAILER,
}

RESPONSE_ROLES: Final[Mapping[bytes, int]] = {
    **_FRAMING,
    b"date": DATE,
    b"keep-alive": KEEP_ALIVE,
}

_NEVER_NOMINATED: Final = frozenset({b"authorization", b"cookie", b"content-type"})
"""End-to-end headers that a client's Connection header does not get removed."""


_TRACE_ROLES: Final = {
    "all": (TRACEPARENT, TRACESTATE),
    "trusted_proxies": (TRUSTED_TRACEPARENT, TRUSTED_TRACESTATE),
    "none": (DROP, DROP),
}
"""Of traceparent and tracestate, by whose word counts."""


def request_roles(
    identity: Iterable[str] = DEFAULT_IDENTITY_HEADERS,
    tenant: str = DEFAULT_IDENTITY_HEADERS[0],
    *,
    trace_trust: str | None = None,
) -> dict[bytes, int]:
    """
    Return the roles of request headers.

    Args:
        identity: names that only the gateway may set; a client's are dropped.
        tenant: the one of them that is compared before it is dropped.
        trace_trust: whose word counts on the trace that a request is part of, by a name
            of `_TRACE_ROLES`; the gateway says it to instances then. None: it is nothing
            to the gateway.
    """
    roles = {
        **_FRAMING,
        **_FORWARDED,
        b"host": HOST,
        b"expect": EXPECT,
        b"x-request-id": REQUEST_ID,
        b"te": TE,
        b"via": VIA,
        b"authorization": AUTHORIZATION,
        b"access-control-request-method": PREFLIGHT,
        b"x-gateway-debug": DEBUG,
    }
    if trace_trust is not None:
        roles[b"traceparent"], roles[b"tracestate"] = _TRACE_ROLES[trace_trust]
    for name in identity:
        lower = name.lower().encode("latin-1")
        # The second, so that `is_disguised` knows each spelling of a name that has "_" itself.
        roles[lower] = roles[lower.replace(b"_", b"-")] = DROP
    roles[tenant.lower().encode("latin-1")] = TENANT
    return roles


def is_disguised(lower_name: bytes, roles: Mapping[bytes, int]) -> bool:
    """
    Whether a name becomes one of `roles` when ``_`` is read as ``-``.

    CGI-like servers turn both into the same variable, so a client's
    ``X_Tenant_Id`` must fare no better than its ``X-Tenant-Id``.
    """
    return lower_name.replace(b"_", b"-") in roles


def nominated(connection: bytes) -> set[bytes]:
    """Return the names, in lower case, that a Connection header declares hop-by-hop."""
    tokens = {token.strip(b" \t") for token in connection.lower().split(b",")}
    return tokens - _NEVER_NOMINATED - {b"", b"close", b"keep-alive", b"upgrade"}


def without(pairs: list[Pair], names: set[bytes]) -> list[Pair]:
    """Return `pairs` without the headers of these lower-case names."""
    return [pair for pair in pairs if pair[0].lower() not in names]


def without_reserved(pairs: list[Pair], roles: Mapping[bytes, int]) -> list[Pair]:
    """Return `pairs` without those that are nobody's to send, by `roles` that came after them."""
    return [pair for pair in pairs if not _is_reserved(pair[0].lower(), roles)]


def _is_reserved(lower_name: bytes, roles: Mapping[bytes, int]) -> bool:
    role = roles.get(lower_name)
    if role is None:
        return b"_" in lower_name and is_disguised(lower_name, roles)
    return role in {DROP, TENANT, DEBUG}


def headers_by_name(pairs: Iterable[Pair]) -> dict[bytes, bytes]:
    """Return, by lower-case name, the values of each header joined with a comma."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        lower = name.lower()
        before = found.get(lower)
        if before is not None:
            value = before + (b"; " if lower == b"cookie" else b", ") + value
        found[lower] = value
    return found


def value_of(pairs: Iterable[Pair], lower_name: bytes) -> bytes | None:
    """Return all values of one header joined with a comma; None where it is absent."""
    length = len(lower_name)
    found: bytes | None = None
    for name, value in pairs:
        if len(name) == length and name.lower() == lower_name:
            found = value if found is None else found + b", " + value
    return found


def valid_value(value: bytes) -> bool:
    """Whether a value may go on the wire: no control characters but the tab."""
    return not value.translate(None, _CLEAN)


_CLEAN: Final = b"\t" + bytes(byte for byte in range(0x20, 0x100) if byte != 0x7F)
