"""Which trailers are passed on (RFC 9110, 6.5.1).

A trailer comes when everything has been decided. One that frames, routes,
authenticates or modifies a message would be read by some receivers as if it had
stood in the head, so it is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Final

from fengling_gateway.http.headers import HOP_BY_HOP, Pair, is_disguised

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

FORBIDDEN: Final = HOP_BY_HOP | {
    *(b"connection", b"content-length", b"transfer-encoding", b"upgrade"),
    *(b"host", b"max-forwards", b"via"),
    *(b"cache-control", b"expect", b"pragma", b"range"),
    *(b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since"),
    *(b"authorization", b"cookie", b"set-cookie", b"www-authenticate"),
    *(b"content-encoding", b"content-range", b"content-type"),
    *(b"age", b"date", b"expires", b"location", b"retry-after", b"vary", b"warning"),
}


def announced(value: bytes) -> bytes:
    """Return what a Trailer header announces of what may be passed on; empty for nothing."""
    names = [name.strip(b" \t") for name in value.split(b",")]
    return b", ".join(
        name for name in names if _NAME.fullmatch(name) and name.lower() not in FORBIDDEN
    )


def forwardable(
    trailers: Iterable[Pair], roles: Mapping[bytes, int], nominated: Container[bytes] = ()
) -> list[Pair]:
    """
    Return the trailers that may be passed on.

    Args:
        roles: of headers; what is more than passed on there is nothing for a trailer.
        nominated: lower-case names that the Connection header calls hop-by-hop.
    """
    return [
        pair
        for pair in trailers
        if not _is_refused(pair[0].lower(), roles) and pair[0].lower() not in nominated
    ]


def _is_refused(lower_name: bytes, roles: Mapping[bytes, int]) -> bool:
    if lower_name in FORBIDDEN or lower_name in roles:
        return True
    return b"_" in lower_name and (
        is_disguised(lower_name, roles) or lower_name.replace(b"_", b"-") in FORBIDDEN
    )
