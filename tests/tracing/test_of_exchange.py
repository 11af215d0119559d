"""What spans are made of, as exchanges tell it."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.records.ended import Attempt, Ended
from fengling_gateway.tracing.of_exchange import recorded_of
from fengling_gateway.tracing.sampling import Traced
from fengling_gateway.tracing.spans import Recorded
from tests.http.test_head import make, parse
from tests.tracing.recording import OURS, TRACE

TRACED = Traced(TRACE, OURS, b"", b"")


def told(**changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "instance": "i1",
        "address": "http://10.0.0.1:8080",
        "error": None,
        "began": 0.1,
        "connect": 0.2,
        "seconds": 0.5,
    }
    return Attempt(**values | changes)


def recorded(*attempts: Attempt, **changes: Any) -> Recorded:
    values: dict[str, Any] = {
        "at": 1002.0,
        "seconds": 2.0,
        "head": parse(make(b"User-Agent: curl/8", first=b"GET /orders/7?a=1 HTTP/1.1")),
        "request_id": b"r-1",
        "listener": "http",
        "scheme": b"https",
        "client": "192.0.2.7",
        "peer": "10.0.0.250",
        "status": 200,
        "error": None,
        "route": "orders",
        "service": "shop",
        "tenant": None,
        "subject": None,
        "revision": 12,
        "attempts": attempts,
        "received": 0,
        "sent": 0,
    }
    return recorded_of(Ended(**values | changes), TRACED, route_path="/orders/{id}")


def test_request_is_told_as_it_was() -> None:
    """Of the times, when it began and ended."""
    one = recorded()
    assert (one.started, one.ended) == (1000.0, 1002.0)
    assert (one.method, one.target, one.host) == (b"GET", b"/orders/7?a=1", b"h")
    assert (one.scheme, one.user_agent, one.minor) == ("https", b"curl/8", 1)
    assert (one.client, one.peer, one.request_id) == ("192.0.2.7", "10.0.0.250", b"r-1")
    assert (one.route, one.route_path, one.service) == ("orders", "/orders/{id}", "shop")
    assert (one.tenant, one.revision, one.status, one.error) == ("", 12, 200, None)
    assert list(one.attempts) == []


def test_failure_is_told_by_its_code() -> None:
    """As everywhere."""
    assert recorded(error=ForwardError.NO_ROUTE, status=404).error == "no_route"


def test_answered_attempt_has_all_its_times() -> None:
    """It ends with the exchange."""
    (attempt,) = recorded(told()).attempts
    times = (attempt.started, attempt.connected, attempt.first_byte, attempt.ended)
    assert times == (1000.1, pytest.approx(1000.3), 1000.6, 1002.0)
    assert (attempt.status, attempt.error, attempt.is_reused) == (200, None, False)
    assert attempt.span_id == TRACED.attempt_id(0)


def test_kept_connection_took_no_time() -> None:
    """There was one."""
    (attempt,) = recorded(told(connect=None)).attempts
    assert (attempt.connected, attempt.is_reused) == (1000.1, True)


@pytest.mark.parametrize(
    ("error", "is_connected", "is_answered"),
    [
        (ForwardError.CONNECT_FAILED, False, False),
        (ForwardError.UPSTREAM_BUSY, False, False),
        (ForwardError.NO_RESPONSE, True, False),
        (ForwardError.FIRST_BYTE_TIMEOUT, True, False),
        (ForwardError.RESPONSE_TOO_SHORT, True, True),
    ],
)
def test_failed_attempt_has_the_times_that_it_came_to(
    error: ForwardError, is_connected: bool, is_answered: bool
) -> None:
    """And the status of an answer that began."""
    (attempt,) = recorded(told(error=error, connect=None)).attempts
    assert (attempt.connected is not None) == is_connected == attempt.is_reused
    assert (attempt.first_byte is not None) == is_answered
    assert attempt.status == (200 if is_answered else 0)
    assert attempt.error == error.code


def test_attempt_before_another_ends_when_it_fails() -> None:
    """Only the last one is answered; each has an id of its own."""
    failed = told(error=ForwardError.CONNECT_FAILED, connect=None, seconds=0.05)
    first, second = recorded(failed, told(began=0.2)).attempts
    assert (first.ended, second.ended) == (pytest.approx(1000.15), 1002.0)
    assert (first.status, second.status) == (0, 200)
    assert first.span_id != second.span_id


def test_attempt_that_came_to_nothing_has_no_answer() -> None:
    """As when the client has left."""
    (attempt,) = recorded(told(seconds=None), error=ForwardError.CLIENT_GONE, status=499).attempts
    assert (attempt.first_byte, attempt.status, attempt.ended) == (None, 0, 1002.0)
