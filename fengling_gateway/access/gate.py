"""In front of everything: who asks, and may they.

The gate knows no routes. A few exact paths are open; all else, whatever its
spelling and whether or not it exists, needs a valid token before anything
looks at it. Only then the path must be spelled as documented.

Where there are pages, browsers show a session in place of a token. A request
with both is judged by its token alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.browser import Browsers, sign_in_first
from fengling_gateway.access.granted import CHALLENGE, Access, IAccess, asked_by
from fengling_gateway.access.problems import ProblemError, identify, write_problem
from fengling_gateway.access.throttle import FailureThrottle
from fengling_gateway.access.verifiers import RevokedError, Verifier, verify
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.model.management_tokens import READ
from fengling_gateway.model.names import is_slug

HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)

TENANT: Final = b"x-tenant-id"
"""The header by which somebody who looks after several tenants names the one that is meant."""

_PLAIN_PATH: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")

_REASONS: Final = {"expired": "the token has expired", "revoked": "the token is revoked"}
"""What is told of a token that was good once; who guesses learns nothing."""

_SIGN_IN: Final = "the session has ended: sign in again"


class Gate(Resource):
    """
    Lets requests through to ``inside`` that may pass.

    Args:
        verifiers: of tokens; asked in this order.
        trail: is told of everybody who may not pass.
        open_paths: for those who hold no tokens; they must tell nothing that is secret.
        wall_clock: seconds since the Unix epoch, for the expiry of tokens.
        refusals: counted here by problem code.
        browsers: what holds for them; None: there are no pages, and no sessions.
    """

    isLeaf = True

    def __init__(  # noqa: PLR0913 - one part each, and one more where there are pages
        self,
        *,
        inside: IResource,
        verifiers: Sequence[Verifier],
        trail: AuditTrail,
        open_paths: frozenset[bytes],
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        refusals: Counter[str],
        browsers: Browsers | None = None,
    ) -> None:
        super().__init__()
        self._inside = inside
        self._verifiers = tuple(verifiers)
        self._trail = trail
        self._open_paths = open_paths
        self._clock = clock
        self._wall_clock = wall_clock
        self._throttle = FailureThrottle()
        self._refusals = refusals
        self._browsers = browsers

    def render(self, request: Any) -> Any:
        """Called by Twisted for every request, whatever its path."""
        identify(request)
        if self._browsers is not None:
            request.asked_from = self._browsers.proxies.client_of(request)
        for name, value in HEADERS:
            request.setHeader(name, value)
        request.responseHeaders.removeHeader(b"server")
        try:
            if not self._is_open(request):
                self._admit(request)
            elif self._browsers is not None and not _shown(request):
                self._browsers.require_own_page(request)
            _normalise(request)
        except ProblemError as problem:
            self._refusals[problem.code] += 1
            if problem.status == 401 and self._browsers is not None and sign_in_first(request):
                return b""
            body = write_problem(request, problem)
            return b"" if request.method == b"HEAD" else body
        return self._inside.render(request)

    def _is_open(self, request: Any) -> bool:
        path = request.path
        if path in self._open_paths:
            return True
        if self._browsers is None:
            return False
        if (request.method, path) in self._browsers.open_requests:
            return True
        is_file = path.startswith(self._browsers.open_prefixes)
        return is_file and _PLAIN_PATH.fullmatch(path) is not None

    def _admit(self, request: Any) -> None:
        access = Access(request, self._authenticate(request), self._trail)
        access.require(READ)
        access.narrow(_tenant(request))
        if getattr(request, "body_refused", False):
            raise ProblemError("body_too_large")
        is_home = self._browsers is not None and request.path == b"/"
        if not is_home and not _PLAIN_PATH.fullmatch(request.path):
            raise ProblemError("not_found")
        request.setComponent(IAccess, access)

    def _authenticate(self, request: Any) -> Operator:
        credentials = _shown(request)
        try:
            if credentials:
                return verify(self._verifiers, _bearer(credentials), now=self._wall_clock())
            operator = self._by_session(request)
        except TokenError as error:
            raise self._refusal(request, error) from None
        if self._browsers is not None:
            self._require_own_page(self._browsers, request, operator)
        return operator

    def _by_session(self, request: Any) -> Operator:
        operator = None
        if self._browsers is not None:
            operator = self._browsers.sessions.operator_of(request, now=self._wall_clock())
        if operator is None:
            raise TokenError("no_token")
        return operator

    def _require_own_page(self, browsers: Browsers, request: Any, operator: Operator) -> None:
        try:
            browsers.require_own_page(request)
        except ProblemError as problem:
            self._trail.refused(asked_by(request, operator), problem.code)
            raise

    def _refusal(self, request: Any, error: TokenError) -> ProblemError:
        operator = error.operator if isinstance(error, RevokedError) else None
        asked = asked_by(request, operator)
        self._trail.refused(asked, error.code)
        if error.code == "no_token":
            # It guesses nothing, so it is not limited either.
            request.setHeader(b"www-authenticate", CHALLENGE)
            return ProblemError("unauthorized", "send a header Authorization: Bearer <token>")
        request.setHeader(b"www-authenticate", CHALLENGE + b', error="invalid_token"')
        if not _shown(request) and error.code in _REASONS:
            # Tabs that were left open go on asking. They have shown that they guess nothing.
            return ProblemError("unauthorized", _SIGN_IN)
        if self._throttle.failed(asked.address, now=self._clock.seconds()):
            request.setHeader(b"retry-after", b"1")
            return ProblemError("too_many_failures")
        usual = "the token is of another gateway, or damaged"
        return ProblemError("unauthorized", _REASONS.get(error.code, usual))


def _shown(request: Any) -> list[bytes]:
    """Return what a request shows in place of a session."""
    shown: list[bytes] = request.requestHeaders.getRawHeaders(b"authorization") or []
    return shown


def _normalise(request: Any) -> None:
    """Keep from klein what means nothing here and what it would make a traceback of."""
    if not request.method.isalpha():
        raise ProblemError("malformed_request")
    request.requestHeaders.setRawHeaders(b"host", [b"gateway"])


def _bearer(credentials: list[bytes]) -> str:
    if len(credentials) != 1:
        raise TokenError("malformed")
    scheme, _, token = credentials[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise TokenError("malformed")
    return token.strip(b" ").decode("latin-1")


def _tenant(request: Any) -> str | None:
    """Return the tenant that a request names; empty for what can't be one."""
    named = request.requestHeaders.getRawHeaders(TENANT)
    if not named:
        return None
    text = named[0].decode("latin-1") if len(named) == 1 else ""
    return text if is_slug(text) else ""
