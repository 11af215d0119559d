"""
Cookies that no page can read, and no other site can use (RFC 6265bis).

Over HTTPS they are ``Secure``, and their names begin with ``__Host-``: so no other
host, not even of the same domain, can have set them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fengling_gateway.auth.compact import TokenError

MAX_COOKIE_BYTES: Final = 4096
"""Of name and value: more is not kept by browsers, and they do not say so."""

STRICT: Final = "Strict"
"""Sent with nothing that another site has begun, if only by a link."""

LAX: Final = "Lax"
"""Sent also when another site leads here, as a provider does with whom it has signed in."""

_PREFIX: Final = "__Host-"


class Cookies:
    """
    Gives, finds and takes cookies.

    Args:
        secure: whether browsers reach us by HTTPS.
    """

    def __init__(self, *, secure: bool, same_site: str = STRICT) -> None:
        self._secure = secure
        self._same_site = same_site

    def __repr__(self) -> str:
        return f"<Cookies {'secure' if self._secure else 'not secure'} {self._same_site}>"

    def name(self, name: str) -> str:
        """Return the name that a cookie has in a browser."""
        return f"{_PREFIX}{name}" if self._secure else name

    def give(self, request: Any, name: str, value: str, *, seconds: float) -> None:
        """
        Have the answer to a request set a cookie.

        Raises:
            ValueError: it is longer than what browsers keep.
        """
        named = self.name(name)
        if len(named) + len(value) > MAX_COOKIE_BYTES:
            raise ValueError("what is to be said of a session is more than a cookie holds")
        self._set(request, f"{named}={value}; Max-Age={max(1, int(seconds))}")

    def clear(self, request: Any, name: str) -> None:
        """Have the answer to a request take a cookie away."""
        self._set(request, f"{self.name(name)}=; Max-Age=0")

    def shown(self, request: Any, names: Iterable[str]) -> str | None:
        """
        Return the first of these cookies that a request shows; None if it shows none.

        Raises:
            TokenError: it shows one of them twice: somebody else has set another one.
        """
        found = _read(request)
        for name in names:
            values = found.get(self.name(name), [])
            if len(values) > 1:
                raise TokenError("malformed")
            if values:
                return values[0]
        return None

    def _set(self, request: Any, cookie: str) -> None:
        secure = "; Secure" if self._secure else ""
        line = f"{cookie}; Path=/; HttpOnly; SameSite={self._same_site}{secure}".encode("ascii")
        name = line.partition(b"=")[0] + b"="  # the last word on each holds
        request.cookies[:] = [one for one in request.cookies if not one.startswith(name)]
        request.cookies.append(line)


def _read(request: Any) -> dict[str, list[str]]:
    """Return all cookies of a request; of each name what may be several values, but no empty one."""
    found: dict[str, list[str]] = {}
    for line in request.requestHeaders.getRawHeaders(b"cookie") or []:
        for pair in line.decode("latin-1").split(";"):
            name, _, value = pair.strip(" \t").partition("=")
            if value:
                found.setdefault(name, []).append(value)
    return found
