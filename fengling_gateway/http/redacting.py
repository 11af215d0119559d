"""What of a request's target nobody is to read in traces or logs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

REDACTED: Final = b"REDACTED"

SECRET_PARAMETERS: Final = (
    *("access_token", "api_key", "apikey", "client_secret", "code", "id_token", "password"),
    *("refresh_token", "secret", "sig", "signature", "token", "X-Amz-Credential"),
    *("X-Amz-Security-Token", "X-Amz-Signature", "X-Goog-Signature"),
)
"""Query parameters that hold credentials nearly everywhere."""


_BEGINNINGS: Final = (b"eyJ", b"fgk_")
_CREDENTIAL: Final = re.compile(
    rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*|fgk_[A-Za-z0-9._-]{20,}"
)
"""A token (the JSON of its head begins with ``{"``), or a key of ours."""

MAX_PAIRS: Final = 500
"""Of a query that is looked at: of one with more, nothing is told. Looking takes a microsecond each."""


def names_to_redact(names: Iterable[str]) -> frozenset[bytes]:
    """Return names of query parameters as `redacted_query` compares them: whatever their case."""
    return frozenset(one.lower().encode() for one in names)


def without_credentials(target: bytes) -> bytes:
    """Return a target, or a part of one, without what is a credential by its very form, wherever it is."""
    jwt, key = _BEGINNINGS
    if jwt in target or key in target:
        return _CREDENTIAL.sub(REDACTED, target)
    return target


def redacted_query(query: bytes, names: Collection[bytes]) -> bytes:
    """
    Return a query with the values of some parameters taken out.

    A name may be written with percent signs, and a pair end with a semicolon: what some
    server may take for the parameter is redacted; so is all of a query with more than `MAX_PAIRS`.
    """
    if not query or not names:
        return query
    if query.count(b"&") + query.count(b";") >= MAX_PAIRS:
        return REDACTED
    return b"&".join(
        b";".join(_redacted(pair, names) for pair in part.split(b";")) for part in query.split(b"&")
    )


def _redacted(pair: bytes, names: Collection[bytes]) -> bytes:
    name, equals, value = pair.partition(b"=")
    if b"%" in name or b"+" in name:
        written = unquote_to_bytes(name.replace(b"+", b" ")).strip().lower()
    else:
        written = name.strip().lower()
    return name + equals + REDACTED if value and written in names else pair
