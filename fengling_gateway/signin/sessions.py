"""
Sessions: who has signed in, as a token in a cookie.

Nothing of a session is kept here. Its cookie says all of it, signed, for this use
only: a token of the management API is no cookie, and a cookie no token. It has a
fixed end, and an earlier one that moves on while the session is used.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.access.verifiers import Kept, RevokedError, as_kept
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.tokens import TokenRing, operator_of
from fengling_gateway.signin.cookies import Cookies
from fengling_gateway.signin.lineage import read_via
from fengling_gateway.signin.spent import EndedSessions

AUDIENCE: Final = "fengling-console-session"
COOKIE: Final = "fengling-session"

SOURCE: Final = "session "
"""What the source of an operator begins with who shows one."""

UNATTENDED: Final = b"x-unattended"
"""A header of what a page asks for by itself: that does not make a session last longer."""

_NOT_KNOWN: Final = "which sessions have ended has not been read from the database yet"
_EVENTS: Final = b"text/event-stream"
_RENEWALS: Final = 20
"""How often in an idle time a cookie is made anew, at most."""


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """
    How long sessions last, in seconds.

    Attributes:
        lifetime: from signing in, whatever happens.
        idle: without a request of somebody's.
    """

    lifetime: float
    idle: float


class Sessions:
    """
    Begins sessions, and knows them again.

    Args:
        ended: those that are over before their time.
        kept: what is known of a token by its id. A session can be revoked like a
            token, and is over when any credential is that it comes of.

    Attributes:
        ring: the keys; may be replaced.
    """

    def __init__(
        self,
        ring: TokenRing,
        terms: SessionTerms,
        *,
        cookies: Cookies,
        ended: EndedSessions,
        kept: Kept,
    ) -> None:
        self.ring = ring
        self._terms = terms
        self._cookies = cookies
        self._ended = ended
        self._kept = kept

    def __repr__(self) -> str:
        return f"<Sessions {self.ring!r} {self._ended!r}>"

    def begin(
        self, request: Any, person: Operator, *, how: str, now: float, via: str = ""
    ) -> Operator:
        """
        Give a request's answer the cookie of a new session, and return whom it speaks for.

        Args:
            person: who has signed in; the session ends no later than this credential.
            how: that was, as the audit trail tells it: ``link``, ``oidc corp``.
            via: the ids of the credentials that it comes of, if any (see `lineage`).

        Raises:
            ValueError: so much is to be said of them that no cookie has room for it.
        """
        end = int(min(now + self._terms.lifetime, person.expires_at))
        claims = {
            "sub": person.subject,
            "scope": " ".join(sorted(person.scopes)),
            "jti": secrets.token_hex(16),
            "iat": int(now),
            "exp": end,
            "idle": int(min(now + self._terms.idle, end)),
            "how": how,
            **({"via": via} if via else {}),
            **({"name": person.name} if person.name else {}),
            **({} if person.tenants is None else {"tenants": sorted(person.tenants)}),
        }
        self._give(request, claims, now)
        return replace(
            person, source=_source(how), token_id=str(claims["jti"]), expires_at=end, via=via
        )

    def operator_of(self, request: Any, *, now: float) -> Operator | None:
        """
        Return whom a request's session speaks for; None if it shows none.

        Raises:
            TokenError: it shows one that is over, or none of ours.
            ProblemError: ``source_unavailable``: nobody can tell yet whether it is over.
        """
        token = self._cookies.shown(request, self._names())
        if token is None:
            return None
        claims = self.ring.open(AUDIENCE, token, now=now)
        operator = self._operator(claims, now)
        if _is_somebodys(request):
            self._renew(request, claims, now)
        return operator

    def is_good(self, operator: Operator, *, now: float) -> bool:
        """Whether a session, or a token, still holds: for answers that go on, like live events."""
        is_session = operator.source.startswith(SOURCE)
        if is_session and self._ended.is_over(operator.token_id, operator.expires_at):
            return False
        rows = map(self._kept, _credentials(operator))
        is_revoked = any(row is not None and row["revoked_at"] is not None for row in rows)
        return now < operator.expires_at and not is_revoked

    def clear(self, request: Any) -> None:
        """Take the cookie from the browser."""
        for name in self._names():
            self._cookies.clear(request, name)

    def _operator(self, claims: Mapping[str, Any], now: float) -> Operator:
        idle, how, via = claims.get("idle"), claims.get("how"), read_via(claims.get("via"))
        if type(idle) is not int or type(how) is not str:
            raise TokenError("wrong_claims")
        operator = replace(operator_of(claims, _source(how), now), via=via)
        if not self._ended.is_known:
            raise ProblemError("source_unavailable", _NOT_KNOWN)
        if self._ended.is_over(operator.token_id, operator.expires_at):
            raise RevokedError(operator)
        if now >= idle:
            raise TokenError("expired")
        for credential in _credentials(operator):
            operator = as_kept(operator, self._kept(credential), now)
        return operator

    def _renew(self, request: Any, claims: Mapping[str, Any], now: float) -> None:
        idle = int(min(now + self._terms.idle, claims["exp"]))
        if idle - claims["idle"] > self._terms.idle / _RENEWALS:
            self._give(request, {**claims, "idle": idle}, now)

    def _give(self, request: Any, claims: Mapping[str, Any], now: float) -> None:
        token = self.ring.seal(AUDIENCE, claims)
        self._cookies.give(request, self._names()[0], token, seconds=claims["idle"] - now)

    def _names(self) -> tuple[str, ...]:
        """
        Return what cookies of ours are called, by the keys: what one is signed by now comes first.

        Browsers share cookies among all the ports of a host, so also among consoles
        that have nothing else in common.
        """
        return names_of(self.ring, COOKIE)


def names_of(ring: TokenRing, cookie: str) -> tuple[str, ...]:
    """Return what a cookie is called by each of the keys."""
    return tuple(f"{cookie}-{label}" for label in ring.labels("cookie"))


def _credentials(operator: Operator) -> Iterator[str]:
    """Yield the ids of a credential, and of those that it comes of."""
    yield operator.token_id
    yield from operator.via.split()


def _source(how: str) -> str:
    return f"{SOURCE}by {how}"


def _is_somebodys(request: Any) -> bool:
    """Whether somebody has asked for it, rather than a page that was left open."""
    headers = request.requestHeaders
    accepted: Iterable[bytes] = headers.getRawHeaders(b"accept") or []
    return not headers.hasHeader(UNATTENDED) and not any(_EVENTS in one for one in accepted)
