"""
Signing in with a provider of OpenID Connect: what is asked, and what is believed of the answers.

The authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636). Nothing
here talks to anybody: `provider` does.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from fengling_gateway.auth.claims import ClaimPath, Claims, as_text
from fengling_gateway.auth.compact import Compact, TokenError, parse
from fengling_gateway.auth.issuer import Issuer
from fengling_gateway.auth.jwt_transform import JwtTransform
from fengling_gateway.auth.operators import ROLES, Operator
from fengling_gateway.auth.strict_json import StrictJSONError, loads
from fengling_gateway.model.issuers import is_web_address
from fengling_gateway.model.key_sets import ALGORITHMS, HMAC_BYTES, KeySet
from fengling_gateway.model.names import IDENTITY_HEADERS, is_slug
from fengling_gateway.settings.signin import OidcSettings

CALLBACK: Final = "/login/oidc/callback"
WELL_KNOWN: Final = "/.well-known/openid-configuration"

SIGNATURES: Final = tuple(one for one in ALGORITHMS if one not in HMAC_BYTES)
"""All that need a key which the provider keeps to itself. ``none`` is not among them."""

MAX_TOKEN_BYTES: Final = 64 * 1024
"""Of an id token: somebody may be in hundreds of groups, and it comes from the provider alone."""

LEEWAY_SECONDS: Final = 30.0

ALL_TENANTS: Final = "*"
_MAX_TENANTS: Final = 50
_NOWHERE: Final = "/urn:fengling:nowhere"
"""A claim that no token has: groups are read here, and are no headers of anybody's."""

_SUBJECT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_ERROR: Final = re.compile(r"[a-z_]{1,50}")


class SignInError(Exception):
    """
    Somebody can't be signed in.

    Attributes:
        code: one of a closed set, for counting: ``state``, ``refused``, ``unreachable``,
            ``token``, ``no_role``, ``no_tenant``.
        why: for the log; it may quote what the provider has said.
    """

    def __init__(self, code: str, message: str, why: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.why = why or message


@dataclass(frozen=True, slots=True)
class Description:
    """What a provider says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    takes_basic: bool


@dataclass(frozen=True, slots=True)
class Trip:
    """
    What a browser takes along to the provider, to be known again by.

    Attributes:
        state: comes back in the URL.
        nonce: comes back in the id token.
        verifier: shows the provider that who began is who asks for the token.
        to: where to go then, here.
    """

    state: str
    nonce: str
    verifier: str = field(repr=False)
    to: str

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def new_trip(to: str) -> Trip:
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Trip(state, nonce, verifier, to)


def read_description(content: bytes, issuer: str) -> Description:
    """
    Return what a provider says of itself (OpenID Connect Discovery 1.0, section 4.2).

    Raises:
        SignInError: ``unreachable``: it is none, of another provider, or not to be trusted.
    """
    said = _object(content, "its description")
    if said.get("issuer") != issuer:
        raise _broken(f"its description is of the issuer {said.get('issuer')!r}, not {issuer!r}")
    inside = urlsplit(issuer).scheme == "http"
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        url: Any = said.get(name)
        is_good = type(url) is str and is_web_address(url)
        if not is_good or not (inside or url.startswith("https:")):
            raise _broken(f"its description has no {name} that is https://host/path")
    methods = said.get("code_challenge_methods_supported")
    if type(methods) is list and "S256" not in methods:
        raise _broken("it does not take PKCE with S256")
    # (Without a word on it, basic is what there is: Discovery 1.0, section 3.)
    ways = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Description(
        authorization_endpoint=said["authorization_endpoint"],
        token_endpoint=said["token_endpoint"],
        jwks_uri=said["jwks_uri"],
        takes_basic=type(ways) is not list or "client_secret_basic" in ways,
    )


def authorization_url(
    described: Description, settings: OidcSettings, redirect_uri: str, trip: Trip
) -> str:
    """Return where somebody signs in."""
    query = urlencode(
        {
            "response_type": "code",
            "client_id": settings.client_id or "",
            "redirect_uri": redirect_uri,
            "scope": " ".join(settings.scopes),
            "state": trip.state,
            "nonce": trip.nonce,
            "code_challenge": trip.challenge,
            "code_challenge_method": "S256",
        },
        quote_via=quote,
    )
    joint = "&" if "?" in described.authorization_endpoint else "?"
    return f"{described.authorization_endpoint}{joint}{query}"


def token_request(
    described: Description, settings: OidcSettings, redirect_uri: str, code: str, trip: Trip
) -> tuple[dict[str, str], bytes]:
    """Return headers and body of what is asked of the provider for a code (RFC 6749, 4.1.3)."""
    headers = {}
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": trip.verifier,
    }
    client, secret = settings.client_id or "", settings.client_secret
    if secret is not None and described.takes_basic:
        both = f"{quote(client, safe='')}:{quote(secret, safe='')}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(both).decode()
    else:
        form["client_id"] = client
        if secret is not None:
            form["client_secret"] = secret
    return headers, urlencode(form).encode()


def read_answer(status: int, content: bytes) -> bytes:
    """
    Return the id token that a provider gives for a code.

    Raises:
        SignInError: it gives none.
    """
    said = _object(content, "its answer") if status in {200, 400, 401} else {}
    if status != 200:
        error = said.get("error")
        named = error if type(error) is str and _ERROR.fullmatch(error) else f"status {status}"
        raise SignInError(
            "refused",
            "the provider does not confirm that you have signed in: begin again",
            f"its token endpoint answers {named}",
        )
    token = said.get("id_token")
    if type(token) is not str or not token.isascii():
        raise _untrusted("its answer has no id token")
    return token.encode("ascii")


def verified_claims(
    token: bytes, settings: OidcSettings, keys: KeySet, trip: Trip, now: float
) -> Claims:
    """
    Return what an id token says, if it is good (OpenID Connect Core 1.0, 3.1.3.7).

    Raises:
        TokenError: as tokens at routes are refused; ``unknown_key`` and ``wrong_signature``
            may be of a key that the provider has just begun to use.
    """
    compact = parse(token, max_bytes=MAX_TOKEN_BYTES)
    issuer = _issuer(settings, keys)
    if compact.claims.get("iss") != issuer.issuer:
        raise TokenError("unknown_issuer")
    claims = issuer.verify(compact, now).claims
    _require_ours(compact, settings.client_id or "", trip)
    return claims


def _issuer(settings: OidcSettings, keys: KeySet) -> Issuer:
    nowhere = dict.fromkeys(("name", "roles", "scopes", "tenant"), _NOWHERE)
    body = {
        "id": "oidc",
        "issuer": settings.issuer,
        "tenant_id": None,
        "audiences": [settings.client_id],
        "algorithms": SIGNATURES,
        "leeway": LEEWAY_SECONDS,
        "max_lifetime": None,
        "required_claims": ["sub", "iat", "nonce"],
        "claims": {"subject": "sub", **nowhere},
    }
    return Issuer(body, keys, JwtTransform(IDENTITY_HEADERS))


def _require_ours(token: Compact, client_id: str, trip: Trip) -> None:
    claims = token.claims
    several = type(claims["aud"]) is list and len(claims["aud"]) > 1
    party = claims.get("azp", None if several else client_id)
    nonce = claims["nonce"]
    is_ours = type(nonce) is str and nonce.isascii() and secrets.compare_digest(nonce, trip.nonce)
    if party != client_id or not is_ours:
        raise TokenError("wrong_claims")


def person_of(claims: Claims, settings: OidcSettings) -> Operator:
    """
    Return whom claims are of, and what that person may here.

    Raises:
        SignInError: nothing, or it is not said clearly who it is.
    """
    subject = as_text(ClaimPath(settings.subject_claim).find(claims)) or ""
    if not _SUBJECT.fullmatch(subject):
        raise _untrusted(f"its token names nobody in {settings.subject_claim}")
    if settings.subject_claim == "email" and claims.get("email_verified") is False:
        raise _untrusted("its token has an email that is not verified")
    role = settings.role_of(_texts(ClaimPath(settings.groups_claim).find(claims)))
    if role is None:
        raise SignInError(
            "no_role",
            "you have signed in, but none of your groups may use this console: ask who runs it",
            f"{subject} has no group that the settings name, in the claim {settings.groups_claim}",
        )
    name = claims.get("name")
    shown = name if type(name) is str else ""
    return Operator(
        subject=subject,
        scopes=frozenset((ROLES[role],)),
        source="oidc",
        token_id="",
        expires_at=math.inf,
        name="".join(one for one in shown if one.isprintable())[:200],
        tenants=_tenants(claims, settings),
    )


def _tenants(claims: Claims, settings: OidcSettings) -> frozenset[str] | None:
    if settings.tenants_claim is None:
        return None
    said = _texts(ClaimPath(settings.tenants_claim).find(claims))
    if said == {ALL_TENANTS}:
        return None
    if not said or len(said) > _MAX_TENANTS or not all(map(is_slug, said)):
        raise SignInError(
            "no_tenant",
            "you have signed in, but for no tenant: ask who runs this console",
            f"the claim {settings.tenants_claim} names no tenants",
        )
    return said


def _texts(value: Any) -> frozenset[str]:
    """Return the texts of a list, or one text: names of groups may have spaces in them."""
    listed: Iterable[Any] = value if type(value) is list else (value,)
    return frozenset(one for one in listed if type(one) is str and one)


def _object(content: bytes, what: str) -> Mapping[str, Any]:
    try:
        found = loads(content)
    except StrictJSONError as error:
        raise _broken(f"{what} can't be read: {error}") from None
    if type(found) is not dict:
        raise _broken(f"{what} is no JSON object")
    return found


def _broken(why: str) -> SignInError:
    return SignInError("unreachable", "the provider does not answer as it should", why)


def _untrusted(why: str) -> SignInError:
    return SignInError("token", "what the provider says of you can't be believed here", why)
