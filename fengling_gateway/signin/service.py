"""Signing in as a whole: what a console mounts, starts and stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred

from fengling_gateway.access.browser import Browsers, Origins
from fengling_gateway.access.proxies import Proxies
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.settings.signin import OidcSettings, SignInSettings
from fengling_gateway.signin import markup
from fengling_gateway.signin.cookies import Cookies
from fengling_gateway.signin.desk import Desk, Surroundings
from fengling_gateway.signin.login_pages import LOGIN, OIDC, LoginPages
from fengling_gateway.signin.oidc import CALLBACK
from fengling_gateway.signin.provider import OidcProvider
from fengling_gateway.signin.session_api import LINKS, SESSION, SessionApi
from fengling_gateway.signin.sessions import Sessions, SessionTerms
from fengling_gateway.signin.trips import Trips
from fengling_gateway.signin.watch import SpentWatch

OPEN_PATHS: Final = frozenset(
    (LOGIN.encode(), OIDC.encode(), CALLBACK.encode(), *markup.FILES),
)
"""The pages of signing in. They tell nothing but what the provider is called."""

OPEN_REQUESTS: Final = frozenset(((b"POST", SESSION.encode()),))


class Operation(NamedTuple):
    """One that the console mounts: it takes a request, and returns the body of its answer."""

    method: str
    path: str
    handle: Callable[[Any], bytes | Awaitable[bytes]]


class SignIn:
    """
    Args:
        ring: the keys of the management API.
        around: the console.

    Attributes:
        sessions: those of people.
        watch: what is over before its time; its numbers are for metrics.
    """

    def __init__(
        self,
        *,
        settings: SignInSettings,
        oidc: OidcSettings,
        ring: TokenRing,
        around: Surroundings,
    ) -> None:
        secure = settings.is_secure()
        console = settings.external_urls[0] if settings.external_urls else ""
        self._urls = tuple(settings.external_urls)
        self._proxies = Proxies(settings.trusted_proxies)
        self.watch = SpentWatch(run=around.run, clock=around.clock, wall_clock=around.wall_clock)
        self.sessions = Sessions(
            ring,
            SessionTerms(settings.session_lifetime, settings.session_idle),
            cookies=Cookies(secure=secure),
            ended=self.watch.ended,
            kept=around.kept,
        )
        self._trips = Trips(ring, secure=secure)
        desk = Desk(around, self.sessions)
        self._api = SessionApi(desk, self.watch, console=console)
        self._pages = LoginPages(
            desk, self._trips, _provider(oidc, console, around), console=console
        )

    def replace_ring(self, ring: TokenRing) -> None:
        """Sign by another key from now on; those of the ring verify."""
        self.sessions.ring = self._trips.ring = ring

    def browsers(self, open_prefixes: tuple[bytes, ...] = ()) -> Browsers:
        """Return what the gate needs, beside `OPEN_PATHS`."""
        origins = Origins(self._urls)
        return Browsers(self.sessions, origins, open_prefixes, OPEN_REQUESTS, self._proxies)

    def operations(self) -> tuple[Operation, ...]:
        """Return what is to be mounted. Failures are `ProblemError`."""
        api, pages = self._api, self._pages
        return (
            Operation("GET", SESSION, api.show),
            Operation("POST", SESSION, api.begin),
            Operation("DELETE", SESSION, api.end),
            Operation("POST", LINKS, api.make_link),
            Operation("GET", LOGIN, pages.login),
            Operation("GET", OIDC, pages.leave),
            Operation("GET", CALLBACK, pages.come_back),
            *(Operation("GET", path.decode(), pages.file) for path in markup.FILES),
        )

    @property
    def is_ready(self) -> bool:
        """Whether it is known which sessions have ended."""
        return self.watch.ended.is_known

    def start(self) -> Deferred[None]:
        """Fires when it is known which sessions have ended, or that nobody can tell now."""
        return self.watch.start()

    def stop(self) -> None:
        self.watch.stop()


def _provider(oidc: OidcSettings, console: str, around: Surroundings) -> OidcProvider | None:
    if oidc.issuer is None:
        return None
    return OidcProvider(
        oidc, console=console, web=around.web, clock=around.clock, wall_clock=around.wall_clock
    )
