"""Takes secrets out of what is told of requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fengling_gateway.http.redacting import (
    REDACTED,
    SECRET_PARAMETERS,
    names_to_redact,
    redacted_query,
)

ALWAYS: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
"""Headers that are never told."""


class Redaction:
    """
    Args:
        query: names of parameters whose values are not told, in any case.
        headers: names of headers that are not, besides `ALWAYS`.
    """

    def __init__(self, query: Iterable[str], headers: Iterable[str]) -> None:
        self._query = names_to_redact(query)
        self._headers = ALWAYS | {name.lower().encode("latin-1") for name in headers}

    def __repr__(self) -> str:
        return f"<Redaction of {len(self._query)} parameters and {len(self._headers)} headers>"

    def target(self, target: bytes) -> bytes:
        """Return a request's target without the values that are not told."""
        if b"?" not in target or not self._query:
            return target
        path, mark, query = target.partition(b"?")
        if b"%" in query or b"+" in query or b";" in query:  # a name may be written otherwise
            return path + mark + redacted_query(query, self._query)
        names = self._query
        for pair in query.lower().split(b"&"):
            if pair.partition(b"=")[0] in names:
                return path + mark + redacted_query(query, names)
        return target

    def header(self, name: bytes, value: bytes) -> bytes:
        """Return what is told of a header, by its name in lower case."""
        return REDACTED if name in self._headers else value


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
