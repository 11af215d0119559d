"""Claims of a verified token, or what is known of an API key's client, as headers for instances."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fengling_gateway.auth.claims import ClaimPath, Claims, as_text
from fengling_gateway.model.names import plain_name

Pair = tuple[bytes, bytes]

MAX_VALUE_BYTES: Final = 4096
"""Of one header: more would be refused by many instances."""

_UNSAFE: Final = re.compile(rb"[^\x20-\x24\x26-\x7e]|\A | \Z")
_UNSAFE_IN_LIST: Final = re.compile(rb"[^\x21-\x24\x26-\x2b\x2d-\x7e]")


class TooLargeError(ValueError):
    """A claim does not fit into a header; a part of it would say something else."""


def header_value(text: str) -> bytes:
    """
    Encode a text so that it can be nothing but one header's value.

    Visible ASCII and spaces between stay as they are; ``%`` and all other bytes
    of its UTF-8 are written as ``%XX`` (RFC 3986, section 2.1), so that decoding
    gives the text again.

    Raises:
        TooLargeError: it is too long for a header.
    """
    return _bounded(_UNSAFE.sub(_escaped, text.encode(errors="surrogatepass")))


def list_value(texts: Iterable[str]) -> bytes:
    """
    Encode texts as a list with commas, in order of the alphabet; a comma in one is ``%2C``.

    Raises:
        TooLargeError: it is too long for a header.
    """
    encoded = (text.encode(errors="surrogatepass") for text in sorted(texts))
    return _bounded(b",".join(_UNSAFE_IN_LIST.sub(_escaped, one) for one in encoded))


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in match[0])


def _bounded(value: bytes) -> bytes:
    if len(value) > MAX_VALUE_BYTES:
        raise TooLargeError(f"a claim of {len(value)} bytes does not fit into a header")
    return value


class JwtTransform:
    """
    Makes the headers that tell an instance who asks.

    Clients can't set them: whatever they send by these names, in any spelling,
    is dropped before.

    Attributes:
        left_out: headers of an issuer's own that it can't have.
    """

    def __init__(self, names: Mapping[str, str], extra: Mapping[str, str] = {}) -> None:
        """
        Args:
            names: the setting ``identity_headers``: what (``user``,
                ``name``, ``roles``) by which header. The tenant's is not made
                here, since a host or path may name the tenant, too.
            extra: headers of an issuer's own, by name, and the claim of each. One
                that is among `names` is left out: there would be two of it.
        """
        taken = {plain_name(name) for name in names.values()}
        self.left_out = tuple(sorted(name for name in extra if plain_name(name) in taken))
        self._user = names["user"].encode("latin-1")
        self._name = names["name"].encode("latin-1")
        self._roles = names["roles"].encode("latin-1")
        self._extra = tuple(
            (name.encode("latin-1"), ClaimPath(path))
            for name, path in sorted(extra.items())
            if name not in self.left_out
        )

    @property
    def extra_names(self) -> tuple[str, ...]:
        """The headers of an issuer's own."""
        return tuple(name.decode("latin-1") for name, _ in self._extra)

    def __repr__(self) -> str:
        return f"<JwtTransform {self._user.decode()} and {2 + len(self._extra)} more>"

    def pairs(
        self, *, subject: str, name: str | None, roles: frozenset[str], claims: Claims
    ) -> list[Pair]:
        """
        Return the headers; what is empty gets none.

        Raises:
            TooLargeError: a claim does not fit into a header.
        """
        found: list[Pair] = []
        if subject:
            found.append((self._user, header_value(subject)))
        if name:
            found.append((self._name, header_value(name)))
        if roles:
            found.append((self._roles, list_value(roles)))
        for header, path in self._extra:
            value = _encoded(path.find(claims))
            if value:
                found.append((header, value))
        return found


def _encoded(value: Any) -> bytes:
    if type(value) is list:
        return list_value(one for one in map(as_text, value) if one)
    text = as_text(value)
    return header_value(text) if text else b""
