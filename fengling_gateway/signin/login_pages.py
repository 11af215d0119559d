"""The pages where people sign in, and the way to a provider and back."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.access.granted import asked_by
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.access.throttle import SignInThrottle
from fengling_gateway.auth.operators import Operator
from fengling_gateway.signin import markup
from fengling_gateway.signin.desk import Desk, write
from fengling_gateway.signin.oidc import SignInError, new_trip
from fengling_gateway.signin.provider import OidcProvider
from fengling_gateway.signin.trips import Trips, local_path

LOGIN: Final = "/login"
OIDC: Final = "/login/oidc"

MAX_CODE: Final = 4096
_MAX_STATE: Final = 200

_STATUS: Final = {"state": 400, "unreachable": 502, "too_many": 429}
"""Of refusals other than 403, by what was wrong."""

_CHEAP: Final = frozenset(("state", "too_many"))
"""Those for which the provider was not asked."""

_TOO_MANY: Final = "too many attempts to sign in have failed of late: wait for a moment"


class LoginPages:
    """
    Args:
        provider: None: there are links alone.
        console: the address of ours to which the provider sends people back; where they
            begin, too, since a browser shows a cookie to who has set it only.
    """

    def __init__(
        self, desk: Desk, trips: Trips, provider: OidcProvider | None, *, console: str
    ) -> None:
        self._desk = desk
        self._trips = trips
        self._provider = provider
        self._console = console
        self._failures = SignInThrottle()

    def login(self, request: Any) -> bytes:
        """Show the page with all ways of signing in."""
        provider = self._provider
        shown = None if provider is None else (provider.name, self._console + OIDC)
        return _page(request, markup.login_page(_wanted(request), shown))

    def file(self, request: Any) -> bytes:
        """Return a file of the page."""
        content_type, path = markup.FILES[request.path]
        return write(request, content_type, path.read_bytes())

    async def leave(self, request: Any) -> bytes:
        """Send somebody to the provider."""
        provider, trip = self._provider_or_nothing(), new_trip(_wanted(request))
        try:
            url = await provider.begin(trip)
        except SignInError as error:
            return self._refused(request, error)
        self._trips.give(request, trip, now=self._desk.now())
        request.setHeader(b"location", url.encode("ascii"))
        return write(request, b"text/plain", b"", 303)

    async def come_back(self, request: Any) -> bytes:
        """Take somebody in whom the provider has sent back."""
        provider = self._provider_or_nothing()
        if self._is_closed(request):
            return self._refused(request, SignInError("too_many", _TOO_MANY))
        try:
            trip = self._trips.take(request, _one(request, b"state"), now=self._desk.now())
            code = _code(request, provider)
            person = await provider.finish(code, trip)
            self._welcome(request, person)
        except SignInError as error:
            return self._refused(request, error)
        return _page(request, markup.onward_page(local_path(trip.to)))

    def _welcome(self, request: Any, person: Operator) -> None:
        try:
            self._desk.welcome(request, person, how="oidc")
        except ValueError as error:
            raise SignInError("no_tenant", str(error)) from None

    def _is_closed(self, request: Any) -> bool:
        """Whether the provider was asked in vain too often of late, from there or in all."""
        address = asked_by(request, None).address
        return self._failures.is_closed(address, now=self._desk.seconds())

    def _provider_or_nothing(self) -> OidcProvider:
        if self._provider is None:
            raise ProblemError("not_found")
        return self._provider

    def _refused(self, request: Any, error: SignInError) -> bytes:
        # (That a stranger has no cookie of ours costs nothing, and is worth no line each time.)
        is_cheap = error.code in _CHEAP
        message, status = str(error), _STATUS.get(error.code, 403)
        if self._desk.turned_away(
            request,
            f"oidc_{error.code}",
            "" if is_cheap else error.why,
            None if is_cheap else self._failures,
        ):
            message, status = _TOO_MANY, 429
        if status == 429:
            request.setHeader(b"retry-after", b"2")
        return _page(request, markup.refused_page(message, self._console + LOGIN), status)


def _page(request: Any, body: bytes, status: int = 200) -> bytes:
    request.setHeader(b"content-security-policy", markup.POLICY)
    return write(request, b"text/html; charset=utf-8", body, status)


def _wanted(request: Any) -> str:
    """Return where somebody wants to go once he has signed in."""
    return local_path(_one(request, b"to"))


def _one(request: Any, name: bytes, most: int = 1000) -> str:
    """Return a parameter that is there once, in ASCII; else nothing."""
    values = request.args.get(name, ())
    if len(values) != 1 or len(values[0]) > most or not values[0].isascii():
        return ""
    return str(values[0].decode("ascii"))


def _code(request: Any, provider: OidcProvider) -> str:
    """
    Return what the provider has given somebody for us.

    Raises:
        SignInError: nothing, or it was another provider.
    """
    if b"iss" in request.args and _one(request, b"iss") != provider.issuer:  # RFC 9207
        raise SignInError("refused", "another provider has sent you: begin again")
    code = _one(request, b"code", MAX_CODE)
    if not code:
        error = "".join(one for one in _one(request, b"error", 50) if one.isalnum() or one == "_")
        raise SignInError(
            "refused",
            "the provider has not signed you in",
            f"the provider sends somebody back with {error or 'nothing'}",
        )
    return code
