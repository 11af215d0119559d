"""
The compact form of a signed token (RFC 7515, section 7.1), read strictly.

There is one spelling of each token: other alphabets, padding, white space and
bits at the end of a part that mean nothing are refused, so that who remembers
tokens by their bytes knows them all. Nothing that is read here is believed.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fengling_gateway.auth.strict_json import StrictJSONError, loads

MAX_TOKEN_BYTES: Final = 8192
"""More than any issuer puts into one, and less than a head may have."""

MAX_HEADER_DEPTH: Final = 4
HEADERS_KEPT: Final = 256
"""Headers of tokens that were read before: the tokens of one key all have the same."""

MAX_CLAIMS_DEPTH: Final = 16

_CANONICAL: Final = re.compile(rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}")


class TokenError(Exception):
    """
    A token is refused.

    Attributes:
        code: one of a closed set, and safe to show: ``malformed``,
            ``unknown_issuer``, ``unknown_key``, ``wrong_algorithm``,
            ``wrong_signature``, ``wrong_claims``, ``expired``, ``not_yet_valid``,
            ``revoked``.
        issuer_id: whose key it is that is unknown: it may just have been
            published. None with every other code.
    """

    def __init__(self, code: str, issuer_id: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.issuer_id = issuer_id


class Compact(NamedTuple):
    """A token taken apart. Not to be changed: its header is that of other tokens, too."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def parse(token: bytes, *, max_bytes: int = MAX_TOKEN_BYTES) -> Compact:
    """
    Take a token apart.

    Raises:
        TokenError: ``malformed``: it is no token in canonical form, too long,
            not of JSON objects (names that occur twice are refused), or has a
            header that must be understood and is not (``crit``, ``b64``).
    """
    if len(token) > max_bytes or not _CANONICAL.fullmatch(token):
        raise TokenError("malformed")
    signed, _, end = token.rpartition(b".")
    first, _, second = signed.partition(b".")
    return Compact(_header(first), _object(second, MAX_CLAIMS_DEPTH), signed, _decode(end))


@lru_cache(HEADERS_KEPT)
def _header(part: bytes) -> dict[str, Any]:
    header = _object(part, MAX_HEADER_DEPTH)
    if "crit" in header or "b64" in header:
        raise TokenError("malformed")
    return header


def _object(part: bytes, max_depth: int) -> dict[str, Any]:
    try:
        found = loads(_decode(part), max_depth=max_depth)
    except StrictJSONError:
        raise TokenError("malformed") from None
    if type(found) is not dict:
        raise TokenError("malformed")
    return found


def _decode(part: bytes) -> bytes:
    try:
        decoded = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raise TokenError("malformed") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise TokenError("malformed")
    return decoded
