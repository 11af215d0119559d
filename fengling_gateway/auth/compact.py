"""
The compact form of a signed token (RFC 7515, section 7.1), read strictly.

There is one spelling of each token: other alphabets, padding, white space and
bits at the end of a part that mean nothing are refused, so that who remembers
tokens by their bytes knows them all. Nothing that is read here is believed.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final, NamedTuple

from fengling_gateway.auth.strict_json import StrictJSONError, loads

MAX_TOKEN_BYTES: Final = 8192
"""More than any issuer puts into one, and less than a head may have."""

MAX_HEADER_DEPTH: Final = 4
MAX_CLAIMS_DEPTH: Final = 16

_CANONICAL: Final = re.compile(rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}")


class TokenError(Exception):
    """
    A token is refused. ``code`` is one of a closed set, and safe to show:
    ``malformed``, ``unknown_issuer``, ``unknown_key``, ``wrong_algorithm``,
    ``wrong_signature``, ``wrong_claims``, ``expired``, ``not_yet_valid``, ``revoked``.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Compact(NamedTuple):
    """A token taken apart."""

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
    try:
        header = loads(_decode(first), max_depth=MAX_HEADER_DEPTH)
        claims = loads(_decode(second), max_depth=MAX_CLAIMS_DEPTH)
    except StrictJSONError:
        raise TokenError("malformed") from None
    if type(header) is not dict or type(claims) is not dict:
        raise TokenError("malformed")
    if "crit" in header or "b64" in header:
        raise TokenError("malformed")
    return Compact(header, claims, signed, _decode(end))


def _decode(part: bytes) -> bytes:
    try:
        decoded = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raise TokenError("malformed") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise TokenError("malformed")
    return decoded
