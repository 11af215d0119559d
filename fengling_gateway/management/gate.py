"""In front of everything: who asks, and may they.

The gate knows no routes. Three exact paths are open; all else, whatever its
spelling and whether or not it exists, needs a valid token before anything
looks at it. Only then the path must be spelled as documented.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from zope.interface import Attribute, Interface

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.tokens import READ, Principal, TokenRing
from fengling_gateway.management.problems import (
    ProblemError,
    identify,
    request_id,
    write_problem,
)
from fengling_gateway.management.throttle import FailureThrottle

OPEN_PATHS: Final = frozenset((b"/livez", b"/readyz", b"/metrics"))
"""For probes and scrapers, which hold no tokens; they tell nothing about configuration."""

HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)

_PLAIN_PATH: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")
_REALM: Final = b'Bearer realm="fengling-gateway"'
_LOG_EVERY_SECONDS: Final = 1.0


class IPrincipal(Interface):
    """The component of a request that has passed the gate: an `auth.tokens.Principal`."""

    subject = Attribute("Whom the token speaks for.")


class Gate(Resource):
    """
    Lets requests through to ``inside`` that may pass.

    Args:
        wall_clock: seconds since the Unix epoch, for the expiry of tokens.
        refusals: counted here by problem code.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        *,
        inside: IResource,
        tokens: TokenRing,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        refusals: Counter[str],
    ) -> None:
        super().__init__()
        self._inside = inside
        self._tokens = tokens
        self._clock = clock
        self._wall_clock = wall_clock
        self._throttle = FailureThrottle()
        self._logged_at = -_LOG_EVERY_SECONDS
        self._refusals = refusals

    def render(self, request: Any) -> Any:
        """Called by Twisted for every request, whatever its path."""
        identify(request)
        for name, value in HEADERS:
            request.setHeader(name, value)
        request.responseHeaders.removeHeader(b"server")
        try:
            if request.path not in OPEN_PATHS:
                self._admit(request)
            _normalise(request)
        except ProblemError as problem:
            self._refusals[problem.code] += 1
            body = write_problem(request, problem)
            return b"" if request.method == b"HEAD" else body
        return self._inside.render(request)

    def _admit(self, request: Any) -> None:
        principal = self._authenticate(request)
        if not principal.may(READ):
            raise insufficient_scope(request, READ)
        if getattr(request, "body_refused", False):
            raise ProblemError("body_too_large")
        if not _PLAIN_PATH.fullmatch(request.path):
            raise ProblemError("not_found")
        request.setComponent(IPrincipal, principal)

    def _authenticate(self, request: Any) -> Principal:
        credentials = request.requestHeaders.getRawHeaders(b"authorization") or []
        if not credentials:
            request.setHeader(b"www-authenticate", _REALM)
            raise ProblemError("unauthorized", "send a header Authorization: Bearer <token>")
        try:
            return self._tokens.verify(_bearer(credentials), now=self._wall_clock())
        except TokenError as error:
            raise self._refusal(request, error.code) from None

    def _refusal(self, request: Any, code: str) -> ProblemError:
        address = _address(request)
        now = self._clock.seconds()
        too_many = self._throttle.failed(address, now=now)
        if now - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = now
            self._log.warn(
                "management: a wrong token from {address}: {code} (request {request_id})",
                log_id="management.refused",
                address=address,
                code=code,
                request_id=request_id(request),
            )
        request.setHeader(b"www-authenticate", _REALM + b', error="invalid_token"')
        if too_many:
            request.setHeader(b"retry-after", b"1")
            return ProblemError("too_many_failures")
        # Only a token that we have signed is told what is wrong with it.
        expired = code == "expired"
        return ProblemError(
            "unauthorized",
            "the token has expired" if expired else "the token is of another gateway, or damaged",
        )


def _normalise(request: Any) -> None:
    """Keep from klein what means nothing here and what it would make a traceback of."""
    if not request.method.isalpha():
        raise ProblemError("malformed_request")
    request.requestHeaders.setRawHeaders(b"host", [b"gateway"])


def require(request: Any, scope: str) -> Principal:
    """
    Return who asks, if they may.

    Raises:
        ProblemError: the token has not this scope.
    """
    principal: Principal = request.getComponent(IPrincipal)
    if not principal.may(scope):
        raise insufficient_scope(request, scope)
    return principal


def insufficient_scope(request: IRequest, scope: str) -> ProblemError:
    challenge = b', error="insufficient_scope", scope="%s"' % scope.encode()
    request.setHeader(b"www-authenticate", _REALM + challenge)
    return ProblemError("insufficient_scope", f"this needs the scope {scope}")


def _bearer(credentials: list[bytes]) -> str:
    if len(credentials) != 1:
        raise TokenError("malformed")
    scheme, _, token = credentials[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise TokenError("malformed")
    return token.strip(b" ").decode("latin-1")


def _address(request: Any) -> str:
    return str(getattr(request.getClientAddress(), "host", "unix"))
