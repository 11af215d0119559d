"""Changes that a route makes to headers, paths and redirects, compiled once per configuration.

A change to headers is two things: the names to leave out when the original
headers are copied, and the headers to append, also as a block of finished
lines. Whoever copies headers anyway thus pays one look-up per header and one
append in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fengling_gateway.http.headers import HOP_BY_HOP, Pair, valid_value
from fengling_gateway.http.spelling import canonical_path

UNTOUCHABLE: Final = HOP_BY_HOP | {
    b"connection",
    b"content-length",
    b"host",
    b"transfer-encoding",
    b"upgrade",
}
"""Names no edit may touch: where a message ends and to whom it goes is not up for configuration."""

_PLACES: Final = re.compile(r"(\{path\}|\{query\}|\{host\}|\{hostname\})")
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class HeaderEdits:
    r"""
    What to leave out of a list of headers, and what to append to it.

    Attributes:
        drop: lower-case names to leave out.
        pairs: the headers to append.
        block: the same as finished lines, ``Name: value\r\n`` each.
        names: the `plain_name` of every name in both.
    """

    __slots__ = ("_appended", "_lengths", "block", "drop", "names", "pairs")

    def __init__(self, drop: frozenset[bytes] = frozenset(), pairs: tuple[Pair, ...] = ()) -> None:
        self.drop = drop
        self.pairs = pairs
        self.names = frozenset(map(plain_name, (*drop, *(name for name, _ in pairs))))
        self._appended = list(pairs)
        self._lengths = frozenset(map(len, drop))
        self.block = b"".join([b"%b: %b\r\n" % pair for pair in pairs])

    @classmethod
    def compile(cls, policy: Mapping[str, Any] | None) -> HeaderEdits:
        """
        Compile a ``request_headers`` or ``response_headers`` policy; None changes nothing.

        Removals come first, then what is set, then what is added: a name both
        removed and set is there with the value set. `UNTOUCHABLE` names and
        texts that are no header are skipped; validation refuses them, and here
        is the last place before the wire.
        """
        if not policy:
            return NO_EDITS
        setting = list(_lines(policy.get("set") or {}))
        adding = list(_lines(policy.get("add") or {}))
        removed = {name.lower().encode() for name in policy.get("remove") or ()}
        removed |= {name.lower() for name, _ in setting}
        return cls(frozenset(removed - UNTOUCHABLE), (*setting, *adding))

    def apply(self, headers: list[Pair]) -> list[Pair]:
        """Return the edited headers in a new list."""
        drop = self.drop
        if not drop:
            return headers + self._appended
        # Most names have another length than any to drop, and need no lower case.
        lengths = self._lengths
        return [
            pair for pair in headers if len(pair[0]) not in lengths or pair[0].lower() not in drop
        ] + self._appended

    def sparing(self, names: frozenset[bytes]) -> HeaderEdits:
        """Return those of the edits that leave some names, like those of `names`, alone."""
        if self.names.isdisjoint(names):
            return self
        return HeaderEdits(
            frozenset(name for name in self.drop if plain_name(name) not in names),
            tuple(pair for pair in self.pairs if plain_name(pair[0]) not in names),
        )

    def __repr__(self) -> str:
        return f"<HeaderEdits drop={len(self.drop)} append={len(self.pairs)}>"


def plain_name(name: bytes) -> bytes:
    """Return a name in lower case and with ``-`` for ``_``, as CGI-like servers take it."""
    return name.lower().replace(b"_", b"-")


NO_EDITS: Final = HeaderEdits()


def _lines(headers: Mapping[str, str]) -> Iterator[Pair]:
    for name, text in headers.items():
        value = text.encode().strip(b" \t")
        if (
            _NAME.fullmatch(name)
            and valid_value(value)
            and name.lower().encode() not in UNTOUCHABLE
        ):
            yield name.encode(), value


class PathEdit:
    """
    Strips a prefix from a request target on a segment border, then puts a prefix before it.

    "/api" is stripped from "/api", "/api/" and "/api/x", not from "/apix"; also
    from "/%61pi/x", which a route with the path "/api/x" takes. A target that
    does not begin with the prefix keeps all of it. What is left and the query
    pass byte for byte, and the result always begins with "/".
    """

    __slots__ = ("_below", "_length", "_slashes", "prefix", "strip")

    def __init__(self, strip: bytes, prefix: bytes) -> None:
        """Take both without a slash at their ends, and with one before unless empty."""
        self.strip = canonical_path(strip)
        self.prefix = prefix
        self._below = self.strip + b"/"
        self._length = len(self.strip)
        self._slashes = strip.count(b"/")

    @classmethod
    def compile(cls, policy: Mapping[str, Any] | None) -> PathEdit | None:
        """Compile a ``path`` policy; None where it changes nothing."""
        if not policy:
            return None
        strip = _rooted(policy.get("strip"))
        prefix = _rooted(policy.get("prefix"))
        return cls(strip, prefix) if strip or prefix else None

    def apply(self, target: bytes) -> bytes:
        """Return the edited `target`: a raw path, with or without its query."""
        if target.startswith(self._below):
            return self.prefix + target[self._length :]
        rest = target[self._stripped(target) :]
        if rest[:1] in _NO_PATH:
            return (self.prefix or b"/") + rest
        return self.prefix + (rest if rest[:1] == b"/" else b"/" + rest)

    def _stripped(self, target: bytes) -> int:
        """Return the length of what is stripped, in whatever way it is spelled."""
        segments = target.partition(b"?")[0].split(b"/", self._slashes + 1)
        beginning = b"/".join(segments[: self._slashes + 1])
        return len(beginning) if canonical_path(beginning) == self.strip else 0

    def __repr__(self) -> str:
        return f"<PathEdit strip={self.strip!r} prefix={self.prefix!r}>"


class PathReplacement:
    """Replaces the path of a request target; the query stays."""

    __slots__ = ("path",)

    def __init__(self, path: bytes) -> None:
        self.path = path

    def apply(self, target: bytes) -> bytes:
        """Return the edited `target`: a raw path, with or without its query."""
        _, mark, query = target.partition(b"?")
        return self.path + mark + query

    def __repr__(self) -> str:
        return f"<PathReplacement {self.path!r}>"


def compile_path(policy: Mapping[str, Any] | None) -> PathEdit | PathReplacement | None:
    """Compile a ``path`` policy; None where it changes nothing."""
    if policy and policy.get("replace"):
        return PathReplacement(policy["replace"].encode())
    return PathEdit.compile(policy)


_NO_PATH: Final = (b"", b"?")
"""How what is left after stripping begins where no path is left of it."""


def _rooted(prefix: str | None) -> bytes:
    text = (prefix or "").strip("/")
    return f"/{text}".encode() if text else b""


class LocationTemplate:
    """
    The Location of a redirect, with places for what the request has.

    ``{query}`` stands for the query with its "?", or for nothing; ``{host}`` for the Host header,
    ``{hostname}`` for that without a port.
    """

    __slots__ = ("_is_path", "_parts")

    def __init__(self, template: str) -> None:
        self._parts = tuple(part.encode() for part in _PLACES.split(template) if part)
        # A template of two slashes means the host that follows.
        self._is_path = self._parts[:1] == (b"{path}",) or bool(re.match(r"/(?!/)", template))

    def fill(self, host: bytes, path: bytes, query: bytes, hostname: bytes = b"") -> bytes:
        """
        Return the Location for a request.

        A Location that is a path must not begin with two slashes (or a
        backslash): a browser would take what follows for a host.

        Args:
            query: without its "?"; empty where there is none.
            hostname: an address of IPv6 without its brackets.
        """
        places = {
            b"{path}": path,
            b"{query}": b"?" + query if query else b"",
            b"{host}": host,
            b"{hostname}": b"[%b]" % hostname if b":" in hostname else hostname,
        }
        location = b"".join([places.get(part, part) for part in self._parts])
        return b"/" + location.lstrip(b"/\\") if self._is_path else location
