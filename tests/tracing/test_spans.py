"""What the spans of an exchange say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.redacting import names_to_redact
from fengling_gateway.tracing.sampling import Traced
from fengling_gateway.tracing.spans import (
    CLIENT,
    MAX_VALUE_CHARACTERS,
    SERVER,
    Recorded,
    Span,
    spans_of,
)
from tests.tracing.recording import CALLER, OURS, TRACE, attempt, recorded

REDACT = names_to_redact(["token"])


def server(**changes: Any) -> Span:
    return spans_of(recorded(**changes), REDACT)[0]


def client(**changes: Any) -> Span:
    return spans_of(recorded(attempt(**changes)), REDACT)[1]


class ServerSpanTests:
    """The span of the gateway"""

    def test_it_says_what_was_asked_and_answered(self) -> None:
        """By the names of OpenTelemetry, and by ours where it has none."""
        span = server()
        assert span.attributes == {
            "http.request.method": "GET",
            "url.scheme": "https",
            "url.path": "/orders/7",
            "url.query": "token=REDACTED&page=2",
            "http.route": "/orders/{id}",
            "server.address": "api.example",
            "server.port": 443,
            "client.address": "192.0.2.7",
            "network.peer.address": "10.0.0.250",
            "network.protocol.version": "1.1",
            "user_agent.original": "curl/8",
            "http.response.status_code": 200,
            "fengling.request_id": "r-1",
            "fengling.route": "orders",
            "fengling.service": "shop",
            "fengling.tenant": "acme",
            "fengling.revision": 12,
            "fengling.instance": "i1",
            "fengling.attempts": 1,
        }
        assert (span.kind, span.name, span.error) == (SERVER, "GET /orders/{id}", None)
        assert (span.start, span.end) == (1000.0, 1000.03)

    def test_it_is_a_child_of_the_callers(self) -> None:
        """In the same trace, with what came with it."""
        span = server()
        ids = (span.trace_id, span.span_id, span.parent_id, span.state)
        assert ids == (TRACE.decode(), OURS.decode(), CALLER.decode(), "a=1")
        assert server(traced=Traced(TRACE, OURS, b"", b"")).parent_id == ""

    def test_what_there_is_none_of_is_not_said(self) -> None:
        """An attribute is there, or not: an empty one could be searched for."""
        none = {"host": b"", "user_agent": b"", "route": "", "route_path": "", "service": ""}
        span = server(**none, tenant="", revision=None, attempts=(), target=b"/", minor=0)
        assert span.name == "GET"
        assert set(span.attributes) == {
            *("http.request.method", "url.scheme", "url.path", "client.address"),
            *("network.peer.address", "network.protocol.version", "http.response.status_code"),
            "fengling.request_id",
        }
        assert span.attributes["network.protocol.version"] == "1.0"

    @pytest.mark.parametrize(
        ("host", "address", "port"),
        [
            (b"api.example:8443", "api.example", 8443),
            (b"[2001:db8::1]", "2001:db8::1", 443),
            (b"[2001:db8::1]:99", "2001:db8::1", 99),
        ],
    )
    def test_host_is_split(self, host: bytes, address: str, port: int) -> None:
        """The port of the scheme counts where none is named."""
        span = server(host=host)
        assert span.attributes["server.address"] == address
        assert span.attributes["server.port"] == port

    @pytest.mark.parametrize(
        ("status", "error", "said"),
        [
            (502, "connect_failed", "connect_failed"),
            (200, "response_too_short", "response_too_short"),
            (503, None, "503"),
            (404, "no_route", None),
            (404, None, None),
            (499, "client_gone", None),
        ],
    )
    def test_it_has_failed_if_that_was_not_the_clients_doing(
        self, status: int, error: str | None, said: str | None
    ) -> None:
        """An alarm on errors is about us and instances; why, is said in any case."""
        span = server(status=status, error=error)
        assert span.error == said
        assert span.attributes.get("error.type") == said
        assert span.attributes.get("fengling.error") == error

    def test_client_that_left_was_answered_nothing(self) -> None:
        """The status that is recorded was never sent."""
        span = server(status=499, error="client_gone")
        assert "http.response.status_code" not in span.attributes

    def test_unusual_method_is_named_beside(self) -> None:
        """Names of spans and methods are few; whatever a client invents is kept apart."""
        span = server(method=b"PROPFIND")
        assert span.name == "HTTP /orders/{id}"
        assert span.attributes["http.request.method"] == "_OTHER"
        assert span.attributes["http.request.method_original"] == "PROPFIND"


class ClientSpanTests:
    """The span of an attempt"""

    def test_it_says_whom_it_went_to(self) -> None:
        """And how long each step of it took."""
        span = client()
        assert span.attributes == {
            "http.request.method": "GET",
            "url.full": "http://10.0.0.1:8080/orders/7?token=REDACTED&page=2",
            "url.scheme": "http",
            "server.address": "10.0.0.1",
            "server.port": 8080,
            "network.protocol.version": "1.1",
            "http.response.status_code": 200,
            "fengling.service": "shop",
            "fengling.instance": "i1",
            "fengling.connect_seconds": 0.001,
            "fengling.first_byte_seconds": 0.008,
        }
        assert (span.kind, span.name, span.error) == (CLIENT, "GET", None)
        assert (span.trace_id, span.parent_id) == (TRACE.decode(), OURS.decode())

    def test_attempt_that_failed_says_why(self) -> None:
        """And nothing of what it did not come to."""
        none = {"connected": None, "first_byte": None, "status": 0}
        span = client(error="connect_failed", **none)
        assert span.error == span.attributes["error.type"] == "connect_failed"
        absent = {"http.response.status_code", "fengling.connect_seconds"}
        assert not absent & set(span.attributes)

    @pytest.mark.parametrize(("status", "error"), [(399, None), (400, "400"), (500, "500")])
    def test_refusal_is_an_error_for_who_asks(self, status: int, error: str | None) -> None:
        """As OpenTelemetry has it for clients."""
        assert client(status=status).error == error

    def test_rewritten_path_is_what_it_was_asked_for(self) -> None:
        """The gateway's span has the client's."""
        spans = spans_of(recorded(forwarded=b"/v2/7?token=x"), REDACT)
        assert spans[0].attributes["url.path"] == "/orders/7"
        assert spans[1].attributes["url.full"] == "http://10.0.0.1:8080/v2/7?token=REDACTED"

    def test_kept_connection_is_named(self) -> None:
        """Then connecting took nothing."""
        assert client(is_reused=True).attributes["fengling.connection_reused"] is True

    def test_each_attempt_is_a_span(self) -> None:
        """Counted from the second on; the gateway's span names the last instance."""
        first, second = attempt(1, error="no_response", status=0), attempt(2)
        spans = spans_of(recorded(first, second), REDACT)
        counts = [one.attributes.get("http.request.resend_count") for one in spans[1:]]
        assert counts == [None, 1]
        assert [one.parent_id for one in spans[1:]] == [OURS.decode()] * 2
        assert spans[0].attributes["fengling.instance"] == "i2"
        assert spans[0].attributes["fengling.attempts"] == 2


class AnyBytesTests:
    """Whatever a client sends"""

    @given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=30))
    def test_spans_can_be_written(self, target: bytes, agent: bytes, host: bytes) -> None:
        """As JSON, and as the UTF-8 that protobuf wants."""
        for span in spans_of(recorded(target=target, user_agent=agent, host=host), REDACT):
            json.dumps(span).encode()
            for value in span.attributes.values():
                str(value).encode()

    def test_long_values_are_cut_off(self) -> None:
        """A span is no place for a whole document."""
        long = b"/" + b"x" * 8000
        for span in spans_of(recorded(target=long + b"?" + long, user_agent=long), REDACT):
            sizes = [len(str(value)) for value in span.attributes.values()]
            assert max(sizes) == MAX_VALUE_CHARACTERS

    def test_recorded_exchange_is_a_plain_value(self) -> None:
        """Two of the same are equal."""
        traced = Traced(TRACE, OURS, b"", b"")
        assert isinstance(recorded(traced=traced), Recorded)
        assert recorded(traced=traced) == recorded(traced=traced)
