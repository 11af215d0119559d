"""Takes secrets out of what is told of requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fengling_gateway.http.redacting import (
    REDACTED,
    SECRET_PARAMETERS,
    names_to_redact,
    redacted_query,
    without_credentials,
)

_AND, _EQUALS, _SEMICOLON, _PERCENT, _PLUS = b"&=;%+"

ALWAYS: Final = frozenset(
    (
        *(b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"),
        *(b"x-api-key", b"x-gateway-debug"),
    )
)
"""Headers that are never told."""


_LENGTHS: Final = 32
_SHAPES: Final = 256 * _LENGTHS
"""First letters and lengths of names: few are those of a name that is redacted."""


def _shape(first: int, length: int) -> int:
    return first * _LENGTHS + length % _LENGTHS


class Redaction:
    """
    Args:
        query: names of parameters whose values are not told, in any case.
        headers: names of headers that are not, besides `ALWAYS`.
    """

    def __init__(self, query: Iterable[str], headers: Iterable[str]) -> None:
        self._query = names_to_redact(query)
        shapes = bytearray(_SHAPES)
        for name in filter(None, self._query):
            for first in {name[0], *name[:1].upper()}:
                shapes[_shape(first, len(name))] = 1
        self._shapes = bytes(shapes)
        self._headers = ALWAYS | {name.lower().encode("latin-1") for name in headers}

    def __repr__(self) -> str:
        return f"<Redaction of {len(self._query)} parameters and {len(self._headers)} headers>"

    def target(self, target: bytes) -> bytes:
        """Return a request's target without the values that are not told."""
        target = without_credentials(target)
        begin = target.find(b"?")
        if begin < 0 or not self._query or not self._may_hold_some(target, begin + 1):
            return target
        return target[: begin + 1] + redacted_query(target[begin + 1 :], self._query)

    def _may_hold_some(self, target: bytes, begin: int) -> bool:
        """Whether a query has a name that is redacted, or that may be written otherwise."""
        is_name = True
        for place in range(begin, len(target)):
            byte = target[place]
            if byte == _AND or (byte == _EQUALS and is_name):
                if (
                    is_name
                    and self._shapes[_shape(target[begin], place - begin)]
                    and target[begin:place].lower() in self._query
                ):
                    return True
                is_name = byte == _AND
                begin = place + 1
            elif byte == _SEMICOLON or (is_name and (byte == _PERCENT or byte == _PLUS)):  # noqa: PLR1714, SIM109 # makes no set
                return True
        return False

    def header(self, name: bytes, value: bytes) -> bytes:
        """Return what is told of a header, by its name in lower case."""
        if name in self._headers:
            return REDACTED
        if name != b"referer":
            return value
        # A page's address has a query, too; and it may be none, with blanks in it.
        page, mark, query = without_credentials(value).partition(b"?")
        return page + mark + redacted_query(query, self._query)

    def hides(self, name: bytes) -> bool:
        """Whether nothing is told of a header, by its name in lower case."""
        return name in self._headers


def redaction_of(*settings: Mapping[str, Any] | None) -> Redaction:
    """
    Return what takes out all that any of these settings takes out.

    Args:
        settings: ``redact_query`` and ``redact_headers``, as a worker is told of its access log
            and of tracing; None: nothing was said, and usual credentials are taken out.
    """
    said = [one for one in settings if one is not None]
    query = [name for one in said for name in one.get("redact_query", ())]
    if len(said) < len(settings):
        query += SECRET_PARAMETERS
    return Redaction(query, [name for one in said for name in one.get("redact_headers", ())])
