"""One batch of spans to a collector: encoded in a thread, posted by OTLP/HTTP, and its answer read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred

from fengling_gateway import __version__
from fengling_gateway.supervisor.span_export import Batch, Outcome, UnreachableError
from fengling_gateway.tracing.spans import Value

MAX_RETRY_AFTER_SECONDS: Final = 60.0
"""A longer Retry-After is not believed: spans wait for it."""

_HEADERS: Final = {
    "Accept": "application/x-protobuf",
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "gzip",
}
_MESSAGE_CHARACTERS: Final = 200


class Otlp:
    """
    Sends batches to one endpoint.

    Args:
        url: of the endpoint, whole.
        headers: sent along; they may be secret.
        resource, node: see `span_encoding.encode_spans`.
        make_web: returns a `web.Web`, in a thread: importing it takes a moment.
        in_thread: runs a function in a thread.
        wall: returns the wall clock, in seconds.
    """

    def __init__(
        self,
        *,
        url: str,
        headers: Iterable[tuple[str, str]],
        resource: Mapping[str, Value],
        node: str,
        make_web: Callable[[], Any],
        in_thread: Callable[..., Deferred[Any]],
        wall: Callable[[], float],
    ) -> None:
        self._url = url
        self._headers = dict(headers)
        self._resource = resource
        self._node = node
        self._make_web = make_web
        self._in_thread = in_thread
        self._wall = wall
        self._web: Any = None

    def replace_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Send these along from now on."""
        self._headers = dict(headers)

    @property
    def where(self) -> str:
        """The endpoint, for messages: without a path, which may hold a token."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    def send(self, batch: Batch) -> Deferred[Outcome]:
        """Send a batch; fails with `UnreachableError`. When it is cancelled it ends, somehow."""
        return Deferred.fromCoroutine(self._post(batch))

    async def _post(self, batch: Batch) -> Outcome:
        body: bytes = await self._in_thread(self._prepare, batch)
        try:
            answer = await self._web.send(self._url, body, {**_HEADERS, **self._headers})
        except CancelledError:
            raise
        except Exception as error:
            # A `key_fetch.FetchError`, which says what failed in words.
            raise UnreachableError(f"{self.where}: {error}") from None
        status = answer.status
        if 200 <= status < 300:
            read = import_module("fengling_gateway.supervisor.span_encoding").partial_success
            rejected, message = read(answer.content)
            return Outcome(status, None, rejected, message[:_MESSAGE_CHARACTERS])
        after = self._seconds(answer.retry_after)
        return Outcome(status, after, message=f"{self.where} answers {status}")

    def _prepare(self, batch: Batch) -> bytes:
        """In a thread: import what is needed, if need be, and encode."""
        if self._web is None:
            self._web = self._make_web()
        encoding = import_module("fengling_gateway.supervisor.span_encoding")
        encoded: bytes = encoding.encode_spans(batch, self._resource, self._node)
        return encoded

    def _seconds(self, said: str | None) -> float | None:
        """Read a Retry-After (RFC 9110, 10.2.3), which may be a date; None: there is none."""
        if not said:
            return None
        try:
            seconds = (
                float(int(said))
                if said.isascii() and said.isdigit() and len(said) < 10
                else parsedate_to_datetime(said).timestamp() - self._wall()
            )
        except (ValueError, OverflowError):
            return None
        return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


def resource_of(*, service_name: str, cluster: str, node: str) -> dict[str, Value]:
    """Return what spans are told to be of, but for the worker."""
    return {
        "service.name": service_name,
        "service.namespace": cluster,
        "service.version": __version__,
        "host.name": node,
        "telemetry.sdk.name": "fengling-gateway",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
    }
