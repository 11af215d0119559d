"""Requests to a cluster's API server, and watches, which are answers that don't end."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from fengling_gateway import __version__
from fengling_gateway.dataplane.failed_requests import was_cancelled, why_failed
from fengling_gateway.dataplane.ready_body import ReadyBody
from fengling_gateway.dataplane.resolver import Lookups
from fengling_gateway.kubernetes.bodies import Event, decoded, read_events, read_whole
from fengling_gateway.kubernetes.connecting import Ways
from fengling_gateway.kubernetes.credentials import Credentials
from fengling_gateway.kubernetes.errors import SILENT, UNREACHABLE, ApiError, of_answer

T = TypeVar("T")

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Of an answer: a page of objects has some megabytes at most."""

MAX_REFUSAL_BYTES: Final = 1024 * 1024
DEADLINE_SECONDS: Final = 30.0
"""For a whole answer, and for the head of a watch."""

IDLE_SECONDS: Final = 60
"""How long a connection is kept for the next request."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_HEADERS: Final = {
    "Accept": "application/json",
    # Compressed, a list of a few hundred bytes could become any number.
    "Accept-Encoding": "identity",
    "User-Agent": f"fengling-console/{__version__}",
}


class Watching:
    """
    A watch that has been asked for.

    Attributes:
        ended: fires when the stream ends cleanly, or has been stopped; fails with `ApiError`, or
            with what its `on_event` raised. Cancelling it stops the watch, too.
    """

    def __init__(self, running: Deferred[None]) -> None:
        self._is_stopped = False
        self.ended = running.addErrback(self._stopped)

    def stop(self) -> None:
        """End it at once; no event comes any more."""
        self._is_stopped = True
        self.ended.cancel()

    def _stopped(self, failure: Any) -> Any:
        return None if self._is_stopped and failure.check(CancelledError) else failure


class ApiServer:
    """
    A cluster's API server.

    Requests share connections; a watch has one of its own.

    Args:
        base_url: such as ``https://10.96.0.1``; what follows the host goes before all paths.
        lookups: finds the addresses of names.
        deadline_seconds: for a whole answer, and for the head of a watch.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        base_url: str,
        credentials: Credentials,
        lookups: Lookups,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._reactor = reactor
        self._credentials = credentials
        self._deadline_seconds = deadline_seconds
        self._pool = HTTPConnectionPool(reactor)
        self._pool.cachedConnectionTimeout = IDLE_SECONDS
        ways = Ways(reactor=reactor, lookups=lookups, credentials=credentials)
        self._agent = Agent.usingEndpointFactory(reactor, ways, self._pool)
        alone = HTTPConnectionPool(reactor, persistent=False)
        self._watch_agent = Agent.usingEndpointFactory(reactor, ways, alone)

    def __repr__(self) -> str:
        return f"<ApiServer {self.base_url}>"

    def get(self, path: str, query: Mapping[str, str] = _NOTHING) -> Deferred[dict[str, Any]]:
        """Return an object or a list; fails with `ApiError`, within the deadline."""
        return self._soon(self._ask(_Asked(b"GET", self._url(path, query))))

    def put(self, path: str, body: Mapping[str, Any]) -> Deferred[dict[str, Any]]:
        """Put an object, and return it as it is then; otherwise like `get`."""
        content = json.dumps(body).encode()
        return self._soon(self._ask(_Asked(b"PUT", self._url(path, _NOTHING), content)))

    def stream(
        self,
        path: str,
        query: Mapping[str, str],
        on_event: Callable[[Event], None],
        on_begun: Callable[[], None] = lambda: None,
    ) -> Watching:
        """
        Watch.

        It has no deadline once it has begun. The kernel breaks it off where the peer is gone.

        Args:
            on_event: called with each event, on the reactor's thread, never in one turn of it
                for much longer than `bodies.TURN_SECONDS`.
            on_begun: called when the server has accepted it.
        """
        asked = _Asked(b"GET", self._url(path, query))
        return Watching(Deferred.fromCoroutine(self._stream(asked, on_event, on_begun)))

    def stop(self) -> Deferred[None]:
        """Close connections that are kept; whoever has asked for something ends that himself."""
        closing: Deferred[Any] = self._pool.closeCachedConnections()
        return closing.addCallback(lambda _: None)

    async def _stream(
        self, asked: _Asked, on_event: Callable[[Event], None], on_begun: Callable[[], None]
    ) -> None:
        response = await self._soon(self._response(self._watch_agent, asked))
        on_begun()
        await read_events(response, clock=self._reactor, on_event=on_event)

    async def _ask(self, asked: _Asked) -> dict[str, Any]:
        response = await self._response(self._agent, asked)
        return decoded(await read_whole(response, MAX_BODY_BYTES))

    async def _response(self, agent: Agent, asked: _Asked) -> Any:
        """Return a response that is 2xx, with its body to be read."""
        try:
            return await self._accepted(agent, asked)
        except ApiError as error:
            if error.status != 401:
                raise
        # The token may have been renewed this moment.
        self._credentials.forget()
        return await self._accepted(agent, asked)

    async def _accepted(self, agent: Agent, asked: _Asked) -> Any:
        response = await self._answered(agent, asked)
        if 200 <= response.code < 300:
            return response
        content = await read_whole(response, MAX_REFUSAL_BYTES)
        after = response.headers.getRawHeaders("retry-after", [None])[0]
        raise of_answer(response.code, content, after)

    async def _answered(self, agent: Agent, asked: _Asked) -> Any:
        body = None if asked.body is None else ReadyBody(asked.body)
        try:
            url = asked.url.encode("ascii")
            return await agent.request(asked.method, url, self._headers(asked), body)
        except ApiError:
            raise
        except Exception as error:
            if was_cancelled(error):
                raise CancelledError from None
            raise ApiError(0, UNREACHABLE, why_failed(error).words) from None

    def _headers(self, asked: _Asked) -> Headers:
        said = dict(_HEADERS)
        token = self._credentials.token()
        if token is not None:
            said["Authorization"] = f"Bearer {token}"
        if asked.body is not None:
            said["Content-Type"] = "application/json"
        return Headers({name: [value] for name, value in said.items()})

    def _soon(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        seconds = self._deadline_seconds

        def too_late(_result: Any, _timeout: float) -> Any:
            raise ApiError(0, SILENT, f"it has not answered within {seconds:g} s")

        running: Deferred[T] = Deferred.fromCoroutine(work)
        return running.addTimeout(seconds, self._reactor, too_late)

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        return f"{self.base_url}{path}" + (f"?{urlencode(query)}" if query else "")


class _Asked(NamedTuple):
    """A request."""

    method: bytes
    url: str
    body: bytes | None = None
