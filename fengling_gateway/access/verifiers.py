"""
What tells whether a credential is good: tokens of our own keys, and those of issuers.

Each is asked in turn; a token belongs to at most one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from fengling_gateway.auth.compact import TokenError, parse
from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.principal import Principal
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.model.management_tokens import SCOPES
from fengling_gateway.model.names import is_slug

Kept = Callable[[str], Mapping[str, Any] | None]
"""Tells what is kept of a token by its id: the fields of a ``management_token``."""

_SOMEBODY_ELSES: Final = ("malformed", "unknown_issuer", "unknown_key", "wrong_algorithm")
"""What a verifier says of a token that may be another's."""

_SUBJECT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}")


class Verifier(Protocol):
    """Judges credentials of one kind."""

    def verify(self, token: str, *, now: float) -> Operator:
        """
        Return whom a token speaks for; ``now`` is in seconds since the epoch.

        Raises:
            TokenError: it is refused.
        """


class RevokedError(TokenError):
    """A token would be good, but has been revoked; ``operator`` is whose it was."""

    def __init__(self, operator: Operator) -> None:
        super().__init__("revoked")
        self.operator = operator


class LocalTokens:
    """
    Tokens signed by keys of our own.

    Args:
        kept: what is known of a token. It can revoke it or limit it further;
            one of which nothing is known is good.
    """

    def __init__(self, ring: TokenRing, kept: Kept) -> None:
        self.ring = ring
        self._kept = kept

    def __repr__(self) -> str:
        return f"<LocalTokens {self.ring!r}>"

    def verify(self, token: str, *, now: float) -> Operator:
        operator = self.ring.verify(token, now=now)
        return as_kept(operator, self._kept(operator.token_id), now)


class IssuerTokens:
    """
    Tokens of issuers whose scopes hold here, too.

    Only those that are named: otherwise whoever writes configuration could
    make himself an issuer, and so an admin.

    Args:
        issuers: those that there are now, by what their tokens say in ``iss``.
        names: the ids of those that are believed here.
        audience: that a token must name, whatever else the issuer is used for.
        kept: as for our own tokens, for those that have an id.
        want: is told the id of an issuer whose token names a key that is not known
            yet. It may have just been published: the next attempt may find it.
    """

    def __init__(
        self,
        issuers: Callable[[], Mapping[str, Issuer]],
        *,
        names: Iterable[str],
        audience: str,
        kept: Kept,
        want: Callable[[str], object],
    ) -> None:
        self._issuers = issuers
        self._kept = kept
        self._want = want
        self._names = frozenset(names)
        self._audiences = frozenset((audience,))

    def __repr__(self) -> str:
        return f"<IssuerTokens of {', '.join(sorted(self._names))}>"

    def verify(self, token: str, *, now: float) -> Operator:
        try:
            compact = parse(token.encode("ascii"))
        except UnicodeEncodeError:
            raise TokenError("malformed") from None
        said = compact.claims.get("iss")
        issuer = self._issuers().get(said) if type(said) is str else None
        if issuer is None or issuer.id not in self._names:
            raise TokenError("unknown_issuer")
        try:
            principal = issuer.verify(compact, now, self._audiences)
        except TokenError as error:
            if error.issuer_id is not None:
                self._want(error.issuer_id)
            raise
        # (An empty text may mean anything, and no limit is the last thing to take it for.)
        unclear = principal.tenant is None and issuer.says_tenant(principal.claims)
        if unclear or not _SUBJECT.fullmatch(principal.subject):
            raise TokenError("wrong_claims")
        operator = _operator(issuer.id, principal)
        return as_kept(operator, self._kept(operator.token_id), now)


def _operator(issuer_id: str, principal: Principal) -> Operator:
    token_id = principal.claims.get("jti")
    return Operator(
        subject=principal.subject,
        scopes=principal.scopes.intersection(SCOPES),
        source=f"issuer {issuer_id}",
        token_id=str(token_id) if is_slug(token_id) else "",
        expires_at=principal.expires_at,
        name=(principal.name or "")[:200],
        tenants=None if principal.tenant is None else frozenset((principal.tenant,)),
    )


def as_kept(operator: Operator, row: Mapping[str, Any] | None, now: float) -> Operator:
    """
    Return what is left of a credential by what is kept of it.

    Raises:
        TokenError: ``revoked``, as `RevokedError`, or ``expired``.
    """
    if row is None:
        return operator
    # (Whatever time it says: clocks of hosts differ, and nobody revokes for later.)
    if row["revoked_at"] is not None:
        raise RevokedError(operator)
    if row["expires_at"] is not None and now >= row["expires_at"]:
        raise TokenError("expired")
    return operator.limited(scopes=row["scopes"], tenants=row["tenants"])


def verify(verifiers: Iterable[Verifier], token: str, *, now: float) -> Operator:
    """
    Return whom a token speaks for, by the first verifier that takes it.

    Raises:
        TokenError: nobody does; it says why the one did not that it is meant for.
    """
    refusal: TokenError | None = None
    for verifier in verifiers:
        try:
            return verifier.verify(token, now=now)
        except TokenError as error:
            if refusal is None or refusal.code in _SOMEBODY_ELSES:
                refusal = error
    raise refusal or TokenError("unknown_issuer")
