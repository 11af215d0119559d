"""
Links that sign somebody in once.

A link is a token in the fragment of a URL, which browsers send to nobody: so it is in no
log. The page at that URL posts it. It may be made by a console, for somebody who is
signed in there, or by anybody who has the keys.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.tokens import MAX_LIFETIME_SECONDS, TokenRing, operator_of
from fengling_gateway.signin.lineage import read_via

AUDIENCE: Final = "fengling-console-link"

MAX_SECONDS: Final = 600
"""Whoever finds a link later finds nothing."""

USUAL_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Link:
    """
    What a link allows.

    Attributes:
        id: unlike that of any other.
        person: whom its session speaks for, and until when at the latest.
        via: the ids of the credentials that it comes of (see `lineage`); empty: of the keys.
        expires_at: of the link itself, in seconds since the epoch.
    """

    id: str
    person: Operator
    via: str
    expires_at: float


def make_link(
    ring: TokenRing, person: Operator, *, now: float, seconds: float = USUAL_SECONDS, via: str = ""
) -> str:
    """
    Return the token of a new link.

    Args:
        person: whom it signs in, and until when at the latest. Who has keys, and so
            no end, says `math.inf`.

    Raises:
        ValueError: it is to last longer than a link may, or says more than fits.
    """
    if not 1 <= seconds <= MAX_SECONDS:
        raise ValueError(f"a link is good for between a second and {MAX_SECONDS // 60} minutes")
    claims = {
        "sub": person.subject,
        "scope": " ".join(sorted(person.scopes)),
        "jti": secrets.token_hex(16),
        "iat": int(now),
        "exp": int(now + seconds),
        "until": int(min(person.expires_at, now + MAX_LIFETIME_SECONDS)),
        **({"via": via} if via else {}),
        **({"name": person.name} if person.name else {}),
        **({} if person.tenants is None else {"tenants": sorted(person.tenants)}),
    }
    operator_of(claims, "link", now)  # nobody is given what is refused later
    return ring.seal(AUDIENCE, claims)


def read_link(ring: TokenRing, token: str, *, now: float) -> Link:
    """
    Return what a link allows, whether or not it has been used.

    Raises:
        TokenError: it is refused.
    """
    claims = ring.open(AUDIENCE, token, now=now)
    begun, until, via = claims.get("iat"), claims.get("until"), read_via(claims.get("via"))
    if type(begun) is not int or type(until) is not int:
        raise TokenError("wrong_claims")
    if claims["exp"] - begun > MAX_SECONDS:
        raise TokenError("wrong_claims")
    person = operator_of({**claims, "exp": until}, "link", now)
    return Link(person.token_id, person, via, float(claims["exp"]))


def link_url(console: str, token: str) -> str:
    """Return the address to open, of a console and a link's token."""
    return f"{console.rstrip('/')}/login#link={token}"


def described(error: TokenError) -> str:
    """Say why a link is refused, to whoever holds it."""
    if error.code == "expired":
        return "the link has expired; `fenglingctl login-link` makes another"
    return "the link is of another console, or was not copied as a whole"
