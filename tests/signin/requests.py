"""Requests and browsers for tests of signing in."""

from __future__ import annotations

from typing import Any

from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.signin.cookies import Cookies
from fengling_gateway.signin.sessions import Sessions, SessionTerms
from fengling_gateway.signin.spent import EndedSessions

NOW = 1_700_000_000.0
KEY = "k1:" + bytes(range(32)).hex()
NEW_KEY = "k2:" + bytes(range(32, 64)).hex()
RING = TokenRing([KEY])
TERMS = SessionTerms(lifetime=12 * 3600, idle=3600)
HOUR = 3600.0


def person(scope: str = "gateway:write", **changed: Any) -> Operator:
    """Somebody who has shown a credential."""
    usual: dict[str, Any] = {
        "subject": "ada",
        "scopes": frozenset((scope,)),
        "source": "link",
        "token_id": "l1",
        "expires_at": NOW + 1e6,
        "name": "Ada L.",
    }
    return Operator(**{**usual, **changed})


def request(*headers: tuple[str, str]) -> Any:
    """A request that nobody has sent."""
    made = Request(DummyChannel(), False)
    made.method, made.path, made.uri = b"GET", b"/", b"/"
    for name, value in headers:
        made.requestHeaders.addRawHeader(name, value)
    return made


def known_sessions() -> EndedSessions:
    """None, as read from a database."""
    ended = EndedSessions()
    ended.is_known = True
    return ended


def sessions(
    ring: TokenRing = RING, *, secure: bool = False, ended: Any = None, kept: Any = {}.get
) -> Sessions:
    return Sessions(
        ring,
        TERMS,
        cookies=Cookies(secure=secure),
        ended=known_sessions() if ended is None else ended,
        kept=kept,
    )


class Browser:
    """Keeps cookies as browsers do, but for their ends."""

    def __init__(self) -> None:
        self.jar: dict[str, str] = {}

    def take(self, answered: Any) -> None:
        """Keep what the answer to a request sets."""
        for line in answered.cookies:
            self.keep(line.decode())

    def keep(self, line: str) -> None:
        cookie, *attributes = line.split("; ")
        name, _, value = cookie.partition("=")
        self.jar[name] = value
        if "Max-Age=0" in attributes:
            del self.jar[name]

    def line(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.jar.items())

    def ask(self, *headers: tuple[str, str]) -> Any:
        """A request that shows the cookies."""
        return request(*([("Cookie", self.line())] if self.jar else []), *headers)
