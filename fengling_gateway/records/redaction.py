"""Takes secrets out of what is told of requests. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

INSTEAD: Final = b"***"

ALWAYS: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
"""Headers that are never told."""


class Redaction:
    """
    Args:
        query: names of parameters whose values are not told, in any case.
        headers: names of headers that are not, besides `ALWAYS`.
    """

    def __init__(self, query: Iterable[str], headers: Iterable[str]) -> None:
        self._query = frozenset(name.lower().encode() for name in query)
        names = b"|".join(map(re.escape, sorted(self._query)))
        # Nearly no target has one, or a name that is written otherwise.
        self._may_hide = re.compile(rb"[?&](?:%b)(?:=|&|$)|%%" % names, re.IGNORECASE).search
        self._headers = ALWAYS | {name.lower().encode("latin-1") for name in headers}

    def __repr__(self) -> str:
        return f"<Redaction of {len(self._query)} parameters and {len(self._headers)} headers>"

    def target(self, target: bytes) -> bytes:
        """Return a request's target without the values that are not told."""
        if not self._query or not self._may_hide(target):
            return target
        path, mark, query = target.partition(b"?")
        pairs = query.split(b"&")
        told = b"&".join(
            pair.partition(b"=")[0] + b"=" + INSTEAD if self._hides(pair) else pair
            for pair in pairs
        )
        return path + mark + told

    def header(self, name: bytes, value: bytes) -> bytes:
        """Return what is told of a header, by its name in lower case."""
        return INSTEAD if name in self._headers else value

    def _hides(self, pair: bytes) -> bool:
        name = pair.partition(b"=")[0].lower()
        return name in self._query or (
            b"%" in name and unquote_to_bytes(name).lower() in self._query
        )
