"""A provider of OpenID Connect, as it is talked to: its description, its keys, and codes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from fengling_gateway.auth.claims import Claims
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.auth.strict_json import StrictJSONError, loads
from fengling_gateway.model.key_sets import KeyRefusedError, KeySet, read_key_set
from fengling_gateway.settings.signin import OidcSettings
from fengling_gateway.signin import oidc
from fengling_gateway.signin.oidc import Description, SignInError, Trip

SECONDS: Final = 10.0
"""For all that one step asks of the provider; somebody waits for it."""

KEEP_SECONDS: Final = 600.0
"""How long a description and keys are used. An unknown key is asked for at once."""

PAUSE_SECONDS: Final = 5.0
"""After a failure nobody is asked for so long: everybody who waits is told the same."""

_AWAY: Final = "the provider can't be asked now: try again in a moment, or use a link"

_PERHAPS_NEW: Final = ("unknown_key", "wrong_signature")


T = TypeVar("T")


class Web(Protocol):
    """
    Asks web servers: bounded, verified, without following redirects.

    Deferreds fail with an exception whose text says what was wrong, for the log, and end
    when they are cancelled.
    """

    def get(self, url: str) -> Deferred[bytes]:
        """Return what is there, if the answer is 200."""

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Deferred[tuple[int, bytes]]:
        """Return the status and what is answered; nothing else than 2xx and 4xx."""


class OidcProvider:
    """
    Signs people in.

    Args:
        console: the address of ours to which browsers are sent back.
        wall_clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: OidcSettings,
        *,
        console: str,
        web: Web,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
    ) -> None:
        assert settings.issuer is not None, "without a provider there is nothing to ask"
        self._settings = settings
        self._redirect_uri = console + oidc.CALLBACK
        self._web = web
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = DeferredLock()
        self._known: tuple[Description, KeySet] | None = None
        self._known_until = 0.0
        self._failure: SignInError | None = None
        self._failed_until = 0.0

    def __repr__(self) -> str:
        return f"<OidcProvider {self._settings.issuer}>"

    @property
    def name(self) -> str:
        """What people call it."""
        return self._settings.name

    @property
    def issuer(self) -> str:
        """What it calls itself."""
        return self._settings.issuer or ""

    def begin(self, trip: Trip) -> Deferred[str]:
        """Return where somebody signs in. Fails with `SignInError`."""
        return self._bounded(self._begin(trip))

    def finish(self, code: str, trip: Trip) -> Deferred[Operator]:
        """Return who has signed in, by the code that the browser brings. Fails with `SignInError`."""
        return self._bounded(self._finish(code, trip))

    async def _begin(self, trip: Trip) -> str:
        described, _ = await self._describe()
        return oidc.authorization_url(described, self._settings, self._redirect_uri, trip)

    async def _finish(self, code: str, trip: Trip) -> Operator:
        described, keys = await self._describe()
        headers, body = oidc.token_request(
            described, self._settings, self._redirect_uri, code, trip
        )
        status, content = await self._web.post(described.token_endpoint, body, headers)
        token = oidc.read_answer(status, content)
        try:
            claims = self._verified(token, keys, trip)
        except TokenError as error:
            if error.code not in _PERHAPS_NEW:
                raise
            self._known_until = 0.0
            _, keys = await self._describe()
            claims = self._verified(token, keys, trip)
        return oidc.person_of(claims, self._settings)

    def _verified(self, token: bytes, keys: KeySet, trip: Trip) -> Claims:
        return oidc.verified_claims(token, self._settings, keys, trip, self._wall_clock())

    async def _describe(self) -> tuple[Description, KeySet]:
        """Return what the provider says of itself, and its keys: as they were of late, or now."""
        await self._lock.acquire()
        try:
            now = self._clock.seconds()
            if self._known is not None and now < self._known_until:
                return self._known
            if self._failure is not None and now < self._failed_until:
                raise self._failure
            try:
                self._known = await self._ask()
                self._known_until, self._failure = now + KEEP_SECONDS, None
            except Exception as error:
                self._failure = _told(error)
                self._failed_until = self._clock.seconds() + PAUSE_SECONDS
                raise self._failure from None
            return self._known
        finally:
            self._lock.release()

    async def _ask(self) -> tuple[Description, KeySet]:
        content = await self._web.get(self.issuer.rstrip("/") + oidc.WELL_KNOWN)
        described = oidc.read_description(content, self.issuer)
        try:
            document = loads(await self._web.get(described.jwks_uri))
            return described, read_key_set(document, oidc.SIGNATURES)
        except (StrictJSONError, KeyRefusedError) as error:
            raise SignInError("unreachable", _AWAY, f"its keys: {error}") from None

    def _bounded(self, step: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        asking = Deferred.fromCoroutine(step).addTimeout(SECONDS, self._clock)

        def tell(failure: Failure) -> Failure:
            return Failure(_told(failure.value))

        return asking.addErrback(tell)


def _told(error: BaseException | None) -> SignInError:
    """Say what has failed: to people that something has, to the log what."""
    if isinstance(error, SignInError):
        return error
    if isinstance(error, TokenError):
        why = f"its id token is refused: {error.code}"
        return SignInError("token", "what the provider says of you can't be believed here", why)
    if isinstance(error, TimeoutError | CancelledError):
        return SignInError("unreachable", _AWAY, f"it has not answered within {SECONDS:g} s")
    return SignInError("unreachable", _AWAY, str(error) or type(error).__name__)
