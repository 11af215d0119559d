"""Exchanges as documents."""

from __future__ import annotations

import json

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.redacting import SECRET_PARAMETERS
from fengling_gateway.records.plain import MAX_ATTEMPTS, MAX_TARGET, to_json
from fengling_gateway.records.redaction import Redaction
from tests.records.test_lines import FIRST, Head, ended

REDACTION = Redaction(SECRET_PARAMETERS, ())


def test_a_document_has_all_of_an_exchange() -> None:
    """It says the same as the access log, in the same words, with all attempts."""
    one = ended(error=ForwardError.FIRST_BYTE_TIMEOUT, status=504, trace_id=b"ab" * 16)
    assert to_json(one, REDACTION) == {
        "request_id": "8f3a-1",
        "at": 1_795_356_306.789,
        "duration_ms": 12.34,
        "waited_ms": 6.2,
        "method": "GET",
        "scheme": "http",
        "host": "shop.example",
        "target": "/orders?id=7",
        "protocol": "HTTP/1.1",
        "user_agent": "curl/8",
        "listener": "http",
        "client": "198.51.100.7",
        "peer": "10.1.1.1",
        "status": 504,
        "error": "first_byte_timeout",
        "route": "orders",
        "service": "shop",
        "tenant": None,
        "subject": None,
        "revision": 412,
        "asked": 2,
        "attempts": [
            {
                "instance": "o-1",
                "address": "http://10.0.0.1:80",
                "error": "connect_failed",
                "began_ms": 0.0,
                "connect_ms": None,
                "ms": 2.1,
            },
            {
                "instance": "o-2",
                "address": "http://10.0.0.2:80",
                "error": None,
                "began_ms": 2.2,
                "connect_ms": 0.5,
                "ms": 4.0,
            },
        ],
        "received": 0,
        "sent": 512,
        "trace_id": "ab" * 16,
    }


def test_what_came_to_no_request_has_a_document_too() -> None:
    """Nothing is known of what was asked."""
    one = ended(head=None, route="", service="", attempts=(), revision=None)
    told = to_json(one, REDACTION)
    nothing = ("method", "host", "target", "protocol", "user_agent", "route", "service", "revision")
    assert [told[name] for name in nothing] == [None] * len(nothing)
    assert told["asked"] == 0


def test_secrets_are_not_told() -> None:
    """Neither those in the query nor what the settings name."""
    one = ended(head=Head(target=b"/cb?code=s3cret&state=7", user_agent=b"s3cret"))
    told = to_json(one, Redaction(SECRET_PARAMETERS, ("User-Agent",)))
    assert told["target"] == "/cb?code=REDACTED&state=7"
    assert "s3cret" not in json.dumps(told)


def test_the_largest_request_makes_a_small_document() -> None:
    """Whatever a client sends: all of it is bounded."""
    head = Head(target=b"/\xff" * 4096, user_agent=b"\xfe" * 8192)
    head.method, head.host_header = b"M" * 8192, b"h" * 8192
    one = ended(head=head, subject="\u96ea" * 9000, attempts=(FIRST,) * 99)
    told = to_json(one, REDACTION)
    assert len(told["target"]) == MAX_TARGET
    assert told["target"].endswith("…")
    assert (told["asked"], len(told["attempts"])) == (99, MAX_ATTEMPTS)
    assert len(json.dumps(told)) < 6 * 1024
