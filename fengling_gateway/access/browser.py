"""
What a gate needs for people with browsers, besides programs with tokens.

A browser sends a cookie along with whatever any page asks for. So what changes
something by a cookie has to come from a page of our own, and says so by headers
that no page can forge: ``Origin`` (RFC 6454) and ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.access.proxies import NO_PROXIES, Proxies
from fengling_gateway.auth.operators import Operator

SAFE_METHODS: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
"""Those that change nothing (RFC 9110, 9.2.1)."""

LOGIN: Final = b"/login"
"""The page where somebody signs in; what he wanted to see is its parameter ``to``."""

API: Final = b"/api/"
"""Whoever asks here is a program, or a page's own, and wants to be told rather than sent away."""

_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where a page is from (RFC 6454)."""

    scheme: str
    host: str
    port: int


def read_origin(text: str) -> Origin | None:
    """Return an origin as browsers write it; None for what is none."""
    parts = _ORIGIN.fullmatch(text.lower())
    if parts is None:
        return None
    return Origin(parts["scheme"], parts["host"], int(parts["port"] or _PORTS[parts["scheme"]]))


class SessionDoor(Protocol):
    """Knows sessions by the cookies of requests."""

    def operator_of(self, request: Any, *, now: float) -> Operator | None:
        """
        Return whom the session of a request speaks for; None if it shows none.

        It may give the request's answer a newer cookie.

        Raises:
            TokenError: it shows one that is refused.
        """


@dataclass(frozen=True, slots=True)
class Browsers:
    """
    What holds for browsers.

    Attributes:
        sessions: for requests without a bearer token.
        origins: the pages that may have something changed.
        open_prefixes: of paths that anybody may see: files of pages, nothing that is
            secret. Each ends with a slash.
        open_requests: method and path of what is for those who are not signed in yet.
        proxies: those in front of us, through which browsers come.
    """

    sessions: SessionDoor
    origins: Origins
    open_prefixes: tuple[bytes, ...] = ()
    open_requests: frozenset[tuple[bytes, bytes]] = frozenset()
    proxies: Proxies = NO_PROXIES

    def require_own_page(self, request: Any) -> None:
        """
        Raises:
            ProblemError: something is to be changed, and not from a page of ours.
        """
        if request.method not in SAFE_METHODS and not self.origins.sent(request):
            raise ProblemError(
                "foreign_origin",
                "a change without a bearer token needs a header Origin that is the console's own; "
                "behind a proxy, [signin] external_urls names the addresses it is reached at",
            )


class Origins:
    """
    The origins of our own pages.

    Args:
        urls: where the console is reached from outside. If there are none, its
            pages are those of the very host that a request asks: browsers say both,
            and a page of somebody else can change neither. (A name that somebody
            lets point here does not have our cookies.)
    """

    def __init__(self, urls: Iterable[str] = ()) -> None:
        self._own = frozenset(one for one in map(read_origin, urls) if one is not None)

    def __repr__(self) -> str:
        return f"<Origins {', '.join(f'{s}://{h}:{p}' for s, h, p in sorted(self._own))}>"

    def sent(self, request: Any) -> bool:
        """Whether a page of ours has sent a request: one sign is needed, and none may say no."""
        site = request.requestHeaders.getRawHeaders(b"sec-fetch-site") or []
        origin = request.requestHeaders.getRawHeaders(b"origin") or []
        if site and site != [b"same-origin"]:
            return False
        if not origin:
            return bool(site)
        return len(origin) == 1 and self._is_own(origin[0].decode("latin-1"), request)

    def _is_own(self, text: str, request: Any) -> bool:
        said = read_origin(text)
        if said is None or self._own:
            return said in self._own
        hosts = request.requestHeaders.getRawHeaders(b"host") or []
        # TLS may end before us, but never begins behind us.
        schemes = ("https",) if request.isSecure() else ("https", "http")
        asked = [read_origin(f"{one}://{hosts[0].decode('latin-1')}") for one in schemes]
        return len(hosts) == 1 and said in asked


def sign_in_first(request: Any) -> bool:
    """
    Send who wanted to see a page to where he can sign in, and come back from.

    Returns whether that is so: whether the request is a browser's that goes to a page.
    """
    accepted = b",".join(request.requestHeaders.getRawHeaders(b"accept") or [])
    if request.method != b"GET" or b"text/html" not in accepted:
        return False
    if request.path.startswith(API) or request.path == LOGIN:
        return False
    where = LOGIN
    if request.uri.startswith(b"/") and request.uri != b"/":
        where += b"?to=" + quote(request.uri, safe="").encode()
    request.setResponseCode(303)
    request.responseHeaders.removeHeader(b"www-authenticate")
    request.setHeader(b"location", where)
    return True
