"""
The spans of a recorded exchange: one of the gateway as a server, and one for each attempt.

Names and attributes are those of OpenTelemetry's semantic conventions for HTTP
(stable, https://opentelemetry.io/docs/specs/semconv/http/http-spans/); what they
have no name for begins with ``fengling.``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from fengling_gateway.http.forward_error import CLIENT_CLOSED_REQUEST, ForwardError, Side
from fengling_gateway.http.redacting import redacted_query, without_credentials
from fengling_gateway.tracing.sampling import Traced

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3
"""Kinds of span, by their numbers in OTLP."""

MAX_VALUE_CHARACTERS: Final = 2048
"""Of an attribute; what is longer is cut off. A target may have four times as many."""

_KNOWN_METHODS: Final = frozenset(
    {b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"QUERY"}
    | {b"TRACE"}
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_GONE: Final = frozenset(one.code for one in ForwardError if one.status == CLIENT_CLOSED_REQUEST)
_OF_CLIENT: Final = frozenset(one.code for one in ForwardError if one.side is Side.DOWNSTREAM)

Value = str | int | float | bool


class Span(NamedTuple):
    """
    A span, as a worker tells its supervisor: a row of plain values, also in JSON.

    `start` and `end` are in seconds since the epoch; ids in hex, `parent_id` and
    `state` may be empty; `error` says why it failed, None if it did not.
    """

    trace_id: str
    span_id: str
    parent_id: str
    state: str
    kind: int
    name: str
    start: float
    end: float
    attributes: dict[str, Value]
    error: str | None


class Attempt(NamedTuple):
    """
    One try to have an instance answer.

    Times are in seconds since the epoch; None: it did not come to that. `connected` is
    when there was a connection to send over, `is_reused`: a kept one. `address` is that
    of the instance, ``http://10.0.0.1:8080``. `error` is a `ForwardError`'s code; `status`
    is that of the instance's answer, 0 without one.
    """

    span_id: bytes
    instance: str
    address: str
    started: float
    connected: float | None
    first_byte: float | None
    ended: float
    status: int = 0
    error: str | None = None
    is_reused: bool = False


class Recorded(NamedTuple):
    """
    An exchange that has ended, as far as its spans tell of it.

    Times are in seconds since the epoch. `target` is what the client asked for, path and
    query, `forwarded` what an instance was, if that is something else; `host` is the Host header
    with its port, if any. `status` is what the
    client was answered, 0 if it was not. Ids that do not apply are empty. `route_path` is
    the template of the route. `client` is who asked, as far as proxies are trusted, `peer` whose
    connection it was.
    """

    traced: Traced
    started: float
    ended: float
    method: bytes
    target: bytes
    scheme: str
    host: bytes
    minor: int
    client: str
    peer: str
    user_agent: bytes
    status: int
    error: str | None
    request_id: bytes
    route: str
    route_path: str
    service: str
    tenant: str
    revision: int | None
    attempts: Sequence[Attempt] = ()
    forwarded: bytes = b""


def spans_of(recorded: Recorded, redact: Collection[bytes]) -> list[Span]:
    """
    Return the spans of an exchange, the gateway's own first.

    Args:
        redact: query parameters whose values nobody is to see; see `names_to_redact`.
    """
    traced = recorded.traced
    path, query = _redacted(recorded.target, redact)
    method = _method(recorded.method)
    trace_id, span_id = traced.trace_id.decode(), traced.span_id.decode()
    server = Span(
        *(trace_id, span_id, traced.parent_id.decode(), traced.state.decode()),
        SERVER,
        " ".join(filter(None, ("HTTP" if method == "_OTHER" else method, recorded.route_path))),
        recorded.started,
        recorded.ended,
        dict(_present(_server_attributes(recorded, method, _text(path), _text(query)))),
        _server_error(recorded),
    )
    if recorded.forwarded:
        path, query = _redacted(recorded.forwarded, redact)
    target = _text(path + b"?" + query if query else path)
    return [
        server,
        *(
            Span(
                *(trace_id, one.span_id.decode(), span_id, traced.state.decode()),
                CLIENT,
                "HTTP" if method == "_OTHER" else method,
                one.started,
                one.ended,
                dict(_present(_client_attributes(recorded, one, resends, method, target))),
                _client_error(one),
            )
            for resends, one in enumerate(recorded.attempts)
        ),
    ]


def _redacted(target: bytes, redact: Collection[bytes]) -> tuple[bytes, bytes]:
    path, _, query = without_credentials(target).partition(b"?")
    return path, redacted_query(query, redact)


def _server_attributes(
    recorded: Recorded, method: str, path: str, query: str
) -> Iterator[tuple[str, Value | None]]:
    yield "http.request.method", method
    if method == "_OTHER":
        yield "http.request.method_original", _text(recorded.method)
    yield "url.scheme", recorded.scheme
    yield "url.path", path
    yield "url.query", query
    yield "http.route", recorded.route_path
    host, port = _host_and_port(_text(recorded.host), recorded.scheme)
    if host:
        yield "server.address", host
        yield "server.port", port
    yield "client.address", recorded.client
    yield "network.peer.address", recorded.peer
    yield "network.protocol.version", f"1.{recorded.minor}"
    yield "user_agent.original", _text(recorded.user_agent)
    if recorded.error not in _GONE:  # nobody was answered then
        yield "http.response.status_code", recorded.status or None
    yield "error.type", _server_error(recorded)
    yield "fengling.error", recorded.error
    yield "fengling.request_id", _text(recorded.request_id)
    yield "fengling.route", recorded.route
    yield "fengling.service", recorded.service
    yield "fengling.tenant", recorded.tenant
    yield "fengling.revision", recorded.revision
    if recorded.attempts:
        yield "fengling.instance", recorded.attempts[-1].instance
        yield "fengling.attempts", len(recorded.attempts)


def _client_attributes(
    recorded: Recorded, attempt: Attempt, resends: int, method: str, target: str
) -> Iterator[tuple[str, Value | None]]:
    scheme, _, authority = attempt.address.partition("://")
    host, port = _host_and_port(authority, scheme)
    yield "http.request.method", method
    if method == "_OTHER":
        yield "http.request.method_original", _text(recorded.method)
    yield "url.full", (attempt.address + target)[:MAX_VALUE_CHARACTERS]
    yield "url.scheme", scheme
    yield "server.address", host
    yield "server.port", port
    yield "network.protocol.version", "1.1"
    yield "http.response.status_code", attempt.status or None
    yield "http.request.resend_count", resends or None
    yield "error.type", _client_error(attempt)
    yield "fengling.service", recorded.service
    yield "fengling.instance", attempt.instance
    yield "fengling.connection_reused", attempt.is_reused or None
    yield "fengling.connect_seconds", _between(attempt.started, attempt.connected)
    if attempt.connected is not None:
        yield "fengling.first_byte_seconds", _between(attempt.connected, attempt.first_byte)


def _server_error(recorded: Recorded) -> str | None:
    """Return why it failed, if it was not the client's own fault: that is no error of a server."""
    if recorded.error is not None and recorded.error not in _OF_CLIENT:
        return recorded.error
    return str(recorded.status) if recorded.status >= 500 else None


def _client_error(attempt: Attempt) -> str | None:
    """Return why it failed; who asks gets an error in every answer from 400 on."""
    if attempt.error is not None:
        return attempt.error
    return str(attempt.status) if attempt.status >= 400 else None


def _method(method: bytes) -> str:
    return method.decode() if method in _KNOWN_METHODS else "_OTHER"


def _between(begin: float, end: float | None) -> float | None:
    return None if end is None else round(max(0.0, end - begin), 6)


def _text(value: bytes) -> str:
    """Return what may have any bytes as text that every encoding has."""
    return value.decode("utf-8", "replace")[:MAX_VALUE_CHARACTERS]


def _host_and_port(authority: str, scheme: str) -> tuple[str, int | None]:
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:  # an address of IPv6 has colons of its own
        host, port = authority, ""
    number = int(port) if port.isascii() and port.isdigit() else _DEFAULT_PORTS.get(scheme)
    return host.strip("[]"), number


def _present(pairs: Iterable[tuple[str, Value | None]]) -> Iterator[tuple[str, Value]]:
    """Leave out what there is none of: an attribute is there or not, and never empty."""
    for name, value in pairs:
        if value is not None and value != "":
            yield name, value
