"""Tokens for the management API: signed by a key of its own ring, never by a stranger.

A JWT of one form only: HS256, the key's id in ``kid``, a subject, scopes and an
expiry, perhaps a name and the tenants that it is limited to. What is signed by
us needs no leniency, so everything else is refused before a signature is
computed: other algorithms, other header fields, spellings of the same bytes
that are not the canonical one. Pure: the time is passed in.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import jwt

from fengling_gateway.auth.compact import Compact, TokenError, parse
from fengling_gateway.auth.keys import SecretKey, parse_keys
from fengling_gateway.auth.operators import Operator
from fengling_gateway.model.management_tokens import MAX_TENANTS, SCOPES
from fengling_gateway.model.names import is_slug

ISSUER: Final = "fengling-gateway"
AUDIENCE: Final = "fengling-management"

MAX_TOKEN_BYTES: Final = 4096
MAX_LIFETIME_SECONDS: Final = 366 * 86400
"""A key lives for years; what it signed may not."""

_NOT_BEFORE_LEEWAY_SECONDS: Final = 30
"""Clocks differ. An expired token gets no leeway: it was ours to renew."""

_HEADER_FIELDS: Final = {"alg", "typ", "kid"}
_SUBJECT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_SUBJECT_OF_OTHERS: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
"""As a provider may call somebody who has signed in there."""

_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{0,200}")


class TokenRing:
    """The keys of the management API: the first one signs, all of them verify."""

    def __init__(self, keys: Iterable[str]) -> None:
        """
        Raises:
            WeakKeyError: there is no key, or one is short or a placeholder.
        """
        parsed: tuple[SecretKey, ...] = parse_keys(keys)
        self._keys = {key.id: key.secret for key in parsed}
        self._signing_id = parsed[0].id

    def __repr__(self) -> str:
        return f"<TokenRing {', '.join(self._keys)}>"

    def issue(
        self,
        *,
        subject: str,
        scopes: Iterable[str],
        now: float,
        lifetime_seconds: float,
        token_id: str,
        name: str = "",
        tenants: Iterable[str] | None = None,
    ) -> str:
        """
        Return a token; ``token_id`` is random, and names it in logs and revocations.

        Args:
            tenants: whose objects alone it is for; None: all, and what is nobody's.

        Raises:
            ValueError: no scope, an unknown one, an empty subject, a lifetime
                out of range, or tenants that can't be any.
        """
        wanted = sorted(set(scopes))
        if not wanted or set(wanted).difference(SCOPES):
            raise ValueError(f"the scopes of a token are of {', '.join(SCOPES)}")
        if not _SUBJECT.fullmatch(subject):
            raise ValueError("a token needs a subject of 1 to 100 printable characters")
        if not 1 <= lifetime_seconds <= MAX_LIFETIME_SECONDS:
            raise ValueError("a token lives for between a second and a year")
        if not _NAME.fullmatch(name):
            raise ValueError("the name of a token has at most 200 printable characters")
        limits = {} if tenants is None else {"tenants": sorted(set(tenants))}
        if limits and not are_tenants(limits["tenants"]):
            raise ValueError(f"a token is limited to 1 to {MAX_TENANTS} tenants, by their ids")
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": " ".join(wanted),
            "iat": int(now),
            "exp": int(now + lifetime_seconds),
            "jti": token_id,
            **({"name": name} if name else {}),
            **limits,
        }
        return self._sign(claims)

    def verify(self, token: str, *, now: float) -> Operator:
        """
        Return whom a token speaks for.

        Raises:
            TokenError: it is refused.
        """
        claims, key_id = self._verified(token, AUDIENCE)
        return operator_of(claims, f"token {key_id}", now)

    def seal(self, audience: str, claims: Mapping[str, Any]) -> str:
        """
        Sign claims for another use than the management API, which its audience names.

        Raises:
            ValueError: they are too long, or it is the audience of the API's tokens.
        """
        if audience == AUDIENCE:
            raise ValueError("tokens for the management API are made by issue")
        return self._sign({**claims, "iss": ISSUER, "aud": audience})

    def open(self, audience: str, token: str, *, now: float) -> dict[str, Any]:
        """
        Return what was sealed for this audience.

        Raises:
            TokenError: it is refused; also when it has no end, or that has come.
        """
        claims, _ = self._verified(token, audience)
        if type(claims.get("exp")) is not int:
            raise TokenError("wrong_claims")
        if now >= claims["exp"]:
            raise TokenError("expired")
        return claims

    def labels(self, use: str) -> tuple[str, ...]:
        """Return a label for each key, the signing one's first: by them its own things are known."""
        return tuple(
            hmac.digest(secret, f"label {use}".encode(), "sha256")[:4].hex()
            for secret in self._keys.values()
        )

    def _sign(self, claims: Mapping[str, Any]) -> str:
        token = jwt.encode(
            dict(claims),
            self._keys[self._signing_id],
            algorithm="HS256",
            headers={"kid": self._signing_id},
        )
        if len(token) > MAX_TOKEN_BYTES:
            raise ValueError("a token with such long names of tenants is too long")
        return token

    def _verified(self, token: str, audience: str) -> tuple[dict[str, Any], str]:
        """Return the claims of a token that we have signed for an audience, and the key's id."""
        key_id, _ = _parsed(token)
        secret = self._keys.get(key_id)
        if secret is None:
            raise TokenError("unknown_key")
        try:
            # The algorithm is the key's, never the token's. Times are judged
            # below, with the time we were given.
            signed = jwt.decode_complete(
                token,
                secret,
                algorithms=["HS256"],
                audience=audience,
                issuer=ISSUER,
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidSignatureError:
            raise TokenError("wrong_signature") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
            raise TokenError("wrong_claims") from None
        claims: dict[str, Any] = signed["payload"]
        if claims["aud"] != audience:  # (a list of several, which we never sign)
            raise TokenError("wrong_claims")
        return claims, key_id


def _parsed(token: str) -> tuple[str, Compact]:
    """Return a token taken apart, and the id of the key it names; nothing is believed yet."""
    try:
        compact = parse(token.encode("ascii"), max_bytes=MAX_TOKEN_BYTES)
    except UnicodeEncodeError:
        raise TokenError("malformed") from None
    header = compact.header
    if header.keys() - _HEADER_FIELDS:
        raise TokenError("malformed")
    if header.get("alg") != "HS256" or header.get("typ", "JWT") != "JWT":
        raise TokenError("malformed")
    key_id = header.get("kid")
    if not isinstance(key_id, str):
        raise TokenError("unknown_key")
    return key_id, compact


def operator_of(claims: Mapping[str, Any], source: str, now: float) -> Operator:
    """
    Return whom claims that we have signed speak for.

    Raises:
        TokenError: ``wrong_claims``, ``expired``, ``not_yet_valid``.
    """
    expires_at, not_before = claims.get("exp"), claims.get("nbf", 0)
    subject, scope, token_id = (claims.get(name) for name in ("sub", "scope", "jti"))
    if type(expires_at) is not int or type(not_before) is not int:
        raise TokenError("wrong_claims")
    if not isinstance(subject, str) or not _SUBJECT_OF_OTHERS.fullmatch(subject):
        raise TokenError("wrong_claims")
    if not isinstance(scope, str) or not is_slug(token_id):
        raise TokenError("wrong_claims")
    scopes = frozenset(scope.split())
    if not scopes or scopes.difference(SCOPES):
        raise TokenError("wrong_claims")
    name, tenants = claims.get("name", ""), claims.get("tenants")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TokenError("wrong_claims")
    # (There and null is no limit that anybody meant.)
    if "tenants" in claims and not are_tenants(tenants):
        raise TokenError("wrong_claims")
    if now >= expires_at:
        raise TokenError("expired")
    if now + _NOT_BEFORE_LEEWAY_SECONDS < not_before:
        raise TokenError("not_yet_valid")
    return Operator(
        subject=subject,
        scopes=scopes,
        source=source,
        token_id=str(token_id),
        expires_at=expires_at,
        name=name,
        tenants=None if tenants is None else frozenset(tenants),
    )


def are_tenants(value: Any) -> bool:
    """Whether a claim limits to tenants, and says to which."""
    return type(value) is list and 1 <= len(value) <= MAX_TENANTS and all(map(is_slug, value))


def unverified_claims(token: str) -> dict[str, Any]:
    """
    Return what a token claims, believing nothing: for people who look at one.

    Raises:
        TokenError: it has not the form of a token.
    """
    _, compact = _parsed(token)
    return {"header": compact.header, "claims": compact.claims}
