"""
What a browser takes along to the provider: in a cookie, signed, for ten minutes.

It is sent when the provider leads back here, which a strict cookie is not. It signs
nobody in: it only says that this is the browser which had begun.
"""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.signin.cookies import LAX, Cookies
from fengling_gateway.signin.oidc import SignInError, Trip
from fengling_gateway.signin.sessions import names_of

AUDIENCE: Final = "fengling-console-oidc"
COOKIE: Final = "fengling-oidc"
SECONDS: Final = 600

HOME: Final = "/"
_LOCAL: Final = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/?#-]{0,1000}")
_NOT_THERE: Final = re.compile(r"/(?:login|api)(?:[/?#]|\Z)")

_BEGIN_AGAIN: Final = "signing in took too long, or was begun in another window: begin again"


def local_path(text: str) -> str:
    """Return where somebody wants to go, if it is one of our own pages; else the first of them."""
    if not _LOCAL.fullmatch(text) or _NOT_THERE.match(text):
        return HOME
    return text


class Trips:
    """
    Gives browsers what they take along, and knows it again.

    Attributes:
        ring: the keys; may be replaced.
    """

    def __init__(self, ring: TokenRing, *, secure: bool) -> None:
        self.ring = ring
        self._cookies = Cookies(secure=secure, same_site=LAX)

    def give(self, request: Any, trip: Trip, *, now: float) -> None:
        claims = {
            "exp": int(now) + SECONDS,
            "state": trip.state,
            "nonce": trip.nonce,
            "verifier": trip.verifier,
            "to": trip.to,
        }
        [name, *_] = names_of(self.ring, COOKIE)
        self._cookies.give(request, name, self.ring.seal(AUDIENCE, claims), seconds=SECONDS)

    def take(self, request: Any, state: str, *, now: float) -> Trip:
        """
        Return the trip that a browser is back from, and take its cookie away: it is good once.

        Raises:
            SignInError: ``state``: it has begun none, another one, or too long ago.
        """
        names = names_of(self.ring, COOKIE)
        try:
            token = self._cookies.shown(request, names)
            claims = self.ring.open(AUDIENCE, token or "", now=now)
            trip = Trip(*(str(claims[name]) for name in ("state", "nonce", "verifier", "to")))
        except (TokenError, KeyError) as error:
            why = f"the cookie of who comes back from the provider: {error}"
            raise SignInError("state", _BEGIN_AGAIN, why) from None
        finally:
            for name in names:
                self._cookies.clear(request, name)
        if not secrets.compare_digest(state.encode(), trip.state.encode()):
            raise SignInError(
                "state", _BEGIN_AGAIN, "the state is not that of the browser's cookie"
            )
        return trip
