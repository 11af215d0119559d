"""Those whose tokens are believed: what each may say, and of whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fengling_gateway.auth.claims import ClaimPath, Claims, as_text, as_texts
from fengling_gateway.auth.compact import Compact, TokenError
from fengling_gateway.auth.jwt_transform import JwtTransform, TooLargeError
from fengling_gateway.auth.principal import Principal
from fengling_gateway.model.issuers import CLAIMS
from fengling_gateway.model.key_sets import KeySet, VerifyingKey
from fengling_gateway.model.names import is_slug


class Issuer:
    """
    One issuer with its keys, compiled. Immutable: other keys make another.

    Attributes:
        id: of the entity.
        issuer: what its tokens say in ``iss``, compared byte by byte (RFC 7519, 4.1.1).
        tenant: that all its tokens are of; None if they say themselves.
    """

    __slots__ = (
        "_algorithms",
        "_audiences",
        "_claims",
        "_leeway",
        "_max_lifetime",
        "_required",
        "_transform",
        "id",
        "issuer",
        "keys",
        "tenant",
    )

    def __init__(self, body: Mapping[str, Any], keys: KeySet, transform: JwtTransform) -> None:
        """
        Args:
            body: the canonical body of an ``issuer``.
        """
        self.id: str = body["id"]
        self.issuer: str = body["issuer"]
        self.tenant: str | None = body["tenant_id"]
        self.keys = keys
        self._audiences = frozenset(body["audiences"])
        self._algorithms = frozenset(body["algorithms"])
        self._leeway: float = body["leeway"]
        self._max_lifetime: float | None = body["max_lifetime"]
        self._required = tuple(ClaimPath(one) for one in body["required_claims"])
        self._claims = {what: ClaimPath(body["claims"][what]) for what in CLAIMS}
        self._transform = transform

    @property
    def header_names(self) -> tuple[str, ...]:
        """The headers of its own that tell instances what its tokens say."""
        return self._transform.extra_names

    def __repr__(self) -> str:
        return f"<Issuer {self.id} {self.keys!r}>"

    def verify(
        self, token: Compact, now: float, audiences: frozenset[str] | None = None
    ) -> Principal:
        """
        Return whom a token of this issuer speaks for.

        Args:
            audiences: of which it must name one; by default, the issuer's.

        Raises:
            TokenError: it is refused.
        """
        algorithm, keys = self._keys_for(token.header)
        # Before the signature, which costs more than all the rest: nothing that is
        # learnt of a claim here was not said by whoever sent it.
        expires_at = self._require_claims(token.claims, now, audiences or self._audiences)
        if not any(key.verifies(algorithm, token.signed, token.signature) for key in keys):
            raise TokenError("wrong_signature")
        return self._principal(token.claims, expires_at)

    def _keys_for(self, header: Mapping[str, Any]) -> tuple[str, list[VerifyingKey]]:
        """Return the algorithm of a token, and the keys that may have signed it by that."""
        algorithm, key_id = header.get("alg"), header.get("kid")
        if type(algorithm) is not str or algorithm not in self._algorithms:
            raise TokenError("wrong_algorithm")
        if not (key_id is None or type(key_id) is str):
            raise TokenError("malformed")
        keys = self.keys.find(key_id)
        if not keys:
            raise TokenError("unknown_key", self.id)
        fitting = [key for key in keys if algorithm in key.algorithms]
        if not fitting:
            raise TokenError("wrong_algorithm")
        return algorithm, fitting

    def says_tenant(self, claims: Claims) -> bool:
        """Whether a token says something of tenants, if only that there is none."""
        return self._claims["tenant"].find(claims) is not None

    def _require_claims(self, claims: Claims, now: float, allowed: frozenset[str]) -> float:
        """Judge what a token says of itself, and return when it ends."""
        said = claims.get("aud")
        audiences = said if type(said) is list else [said]
        if not any(type(one) is str and one in allowed for one in audiences):
            raise TokenError("wrong_claims")
        if any(path.find(claims) is None for path in self._required):
            raise TokenError("wrong_claims")
        expires_at = _moment(claims, "exp")
        if expires_at is None:
            raise TokenError("wrong_claims")
        issued_at, not_before = _moment(claims, "iat"), _moment(claims, "nbf")
        if self._max_lifetime is not None and (
            issued_at is None or expires_at - issued_at > self._max_lifetime
        ):
            raise TokenError("wrong_claims")
        if now >= expires_at + self._leeway:
            raise TokenError("expired")
        latest = max(issued_at or 0.0, not_before or 0.0)
        if now + self._leeway < latest:
            raise TokenError("not_yet_valid")
        return expires_at + self._leeway

    def _principal(self, claims: Claims, expires_at: float) -> Principal:
        find = self._claims
        subject, name = (as_text(find[what].find(claims)) for what in ("subject", "name"))
        roles, scopes = (as_texts(find[what].find(claims)) for what in ("roles", "scopes"))
        try:
            pairs = self._transform.pairs(
                subject=subject or "", name=name, roles=roles, claims=claims
            )
        except TooLargeError:
            raise TokenError("wrong_claims") from None
        return Principal(
            method="jwt",
            source=self.id,
            subject=subject or "",
            tenant=self._tenant_of(claims),
            name=name,
            roles=roles,
            scopes=scopes,
            claims=claims,
            expires_at=expires_at,
            pairs=tuple(pairs),
        )

    def _tenant_of(self, claims: Claims) -> str | None:
        """Return the tenant that a token is of: an id, fit to be told by a header as it is."""
        said = self._claims["tenant"].find(claims) or None
        if said is not None and not is_slug(said):
            raise TokenError("wrong_claims")
        if self.tenant is not None and said not in {None, self.tenant}:
            raise TokenError("wrong_claims")
        return self.tenant or said


def _moment(claims: Claims, name: str) -> float | None:
    """Return a NumericDate (RFC 7519, section 2); None if there is none."""
    if name not in claims:
        return None
    value = claims[name]
    # (Neither NaN nor an infinity is between anything.)
    if type(value) not in {int, float} or not 0 <= value < 2**53:
        raise TokenError("wrong_claims")
    return float(value)


def verify(token: Compact, issuers: Mapping[str, Issuer], now: float) -> Principal:
    """
    Return whom a token speaks for.

    Args:
        issuers: by what their tokens say in ``iss``.
        now: seconds since the epoch.

    Raises:
        TokenError: it is refused.
    """
    said = token.claims.get("iss")
    issuer = issuers.get(said) if type(said) is str else None
    if issuer is None:
        raise TokenError("unknown_issuer")
    return issuer.verify(token, now)
