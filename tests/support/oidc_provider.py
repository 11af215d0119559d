"""A provider of OpenID Connect, over HTTP, as strict as one should be, or as wrong as it is told."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.support import forge
from tests.support.issuer_server import IssuerServer, publishes, says

CLIENT = "fengling-console"
SECRET = "a secret: of the provider+/"


class OidcProviderServer(IssuerServer):
    """
    Signs in whoever comes, as `person`, at once.

    Attributes:
        person: claims of whoever signs in.
        change: changes the claims of the next id tokens.
        sign: makes an id token of claims.
        codes: that were given and not used, with what was asked for.
        posted: the forms that the token endpoint was sent.
        basic: whether clients show their secret by HTTP's basic scheme.
    """

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"sub": "u-17", "name": "Ada L.", "groups": ["staff"]}
        self.change: Callable[[dict[str, Any]], dict[str, Any]] = dict
        self.sign: Callable[[dict[str, Any]], bytes] = forge.token
        self.codes: dict[str, dict[str, str]] = {}
        self.posted: list[dict[str, str]] = []
        self.basic = True
        super().__init__()
        self.publish(forge.rsa_jwk())
        self.describe()
        self.answers["/token"] = self._token
        self.answers["/authorize"] = self._authorize

    def describe(self, **changed: Any) -> None:
        """Publish what it says of itself, with changes."""
        way = "client_secret_basic" if self.basic else "client_secret_post"
        said = {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": self.url,
            "token_endpoint_auth_methods_supported": [way],
            "code_challenge_methods_supported": ["S256"],
            **changed,
        }
        self.answers["/.well-known/openid-configuration"] = publishes(said)

    def _authorize(self, request: BaseHTTPRequestHandler) -> None:
        asked = _one_each(urlsplit(request.path).query)
        code = secrets.token_urlsafe(8)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.address})
        says(302, Location=f"{asked['redirect_uri']}?{back}")(request)

    def _token(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers["Content-Length"])
        form = _one_each(request.rfile.read(length).decode())
        self.posted.append(form)
        asked = self.codes.pop(form["code"], None)
        if not self._is_client(request, form):
            says(401, b'{"error": "invalid_client"}')(request)
        elif asked is None or not _fits(form, asked):
            says(400, b'{"error": "invalid_grant"}')(request)
        else:
            publishes({"id_token": self._id_token(asked).decode()})(request)

    def _is_client(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> bool:
        if not self.basic:
            return (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        shown = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        client, _, secret = shown.partition(":")
        return (unquote(client), unquote(secret)) == (CLIENT, SECRET)

    def _id_token(self, asked: dict[str, str]) -> bytes:
        now = int(time.time())
        claims = {
            "iss": self.address,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.person,
        }
        return self.sign(self.change(claims))


def _fits(form: dict[str, str], asked: dict[str, str]) -> bool:
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return (
        form["grant_type"] == "authorization_code"
        and challenge == asked["code_challenge"]
        and form["redirect_uri"] == asked["redirect_uri"]
    )


def _one_each(query: str) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(query, strict_parsing=True).items()}


def unsigned(claims: dict[str, Any]) -> bytes:
    """An id token of the algorithm ``none``."""
    head = json.dumps({"alg": "none", "typ": "JWT"}).encode()
    return f"{forge.b64(head)}.{forge.b64(json.dumps(claims).encode())}.".encode()
