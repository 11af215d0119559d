"""Heads of answers."""

from __future__ import annotations

import pytest

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.http.framing import CHUNKED, NO_BODY, UNTIL_CLOSE, response_framing
from fengling_gateway.http.head import HeadError, HeadLimits
from fengling_gateway.http.response_head import ResponseHead, parse_response_head


def parse(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    return parse_response_head(b"\r\n".join([first, *lines, b"", b""]), HeadLimits())


def test_head_is_taken_apart() -> None:
    """What is forwarded, and what it means."""
    head = parse(b"Date: d", b"Server: s ", b"Content-Length: 5", b"Keep-Alive: 5")
    assert (head.status, head.reason, head.content_length, head.has_date) == (200, b"OK", 5, True)
    assert head.forward == [(b"Date", b"d"), (b"Server", b"s")]
    assert head.keep_alive


@pytest.mark.parametrize(
    ("first", "status", "reason"),
    [
        (b"HTTP/1.1 299 Odd  One", 299, b"Odd  One"),
        (b"HTTP/1.1 200 ", 200, b""),
        (b"HTTP/1.1 200", 200, b""),
        (b"HTTP/1.0 404 N\xc3\xb6", 404, b"N\xc3\xb6"),
    ],
)
def test_first_line(first: bytes, status: int, reason: bytes) -> None:
    """Any status and reason of three digits and any text."""
    head = parse(first=first)
    assert (head.status, head.reason) == (status, reason)


def test_keep_alive() -> None:
    """Each version has its default, and Connection its exceptions."""
    for first, lines, expected in [
        (b"HTTP/1.1 200 OK", [], True),
        (b"HTTP/1.1 200 OK", [b"Connection: close"], False),
        (b"HTTP/1.1 200 OK", [b"Connection: x", b"Connection: close"], False),
        (b"HTTP/1.0 200 OK", [], False),
        (b"HTTP/1.0 200 OK", [b"Connection: keep-alive"], True),
    ]:
        assert parse(*lines, first=first).keep_alive is expected


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([b"Content-Length: 5", b"Content-Length: 5"], ForwardError.MALFORMED_RESPONSE),
        ([b"Content-Length: " + 20 * b"9"], ForwardError.MALFORMED_RESPONSE),
        ([b"Transfer-Encoding: gzip"], ForwardError.MALFORMED_RESPONSE),
        ([b"X : y"], ForwardError.MALFORMED_RESPONSE),
        (101 * [b"X: y"], ForwardError.RESPONSE_HEADERS_TOO_LARGE),
    ],
)
def test_bad_heads_are_refused(lines: list[bytes], error: ForwardError) -> None:
    """Ambiguity from an instance is as bad as from a client."""
    with pytest.raises(HeadError) as caught:
        parse(*lines)
    assert caught.value.error is error


@pytest.mark.parametrize(
    "first",
    [
        *(b"HTTP/1.1 000 Odd", b"HTTP/1.1 099 Odd", b"HTTP/1.1 99 Odd", b"HTTP/1.1 1000 Odd"),
        *(b"HTTP/1.1 200 O\x7fK", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\x1bK"),
    ],
)
def test_bad_first_lines_are_refused(first: bytes) -> None:
    """A status has three digits, the first is no 0; a reason has no control characters."""
    with pytest.raises(HeadError) as caught:
        parse(first=first)
    assert caught.value.error is ForwardError.MALFORMED_RESPONSE


@pytest.mark.parametrize(
    ("status", "method", "length", "chunked", "framing"),
    [
        (200, b"GET", 5, False, 5),
        (200, b"GET", 0, False, 0),
        (200, b"GET", -1, True, CHUNKED),
        (200, b"GET", -1, False, UNTIL_CLOSE),
        (200, b"HEAD", 5, False, NO_BODY),
        (200, b"HEAD", -1, True, NO_BODY),
        (204, b"GET", 5, False, NO_BODY),
        (304, b"GET", 5, False, NO_BODY),
        (103, b"GET", -1, False, NO_BODY),
    ],
)
def test_framing(status: int, method: bytes, length: int, chunked: bool, framing: int) -> None:
    """Where an answer ends depends on what was asked, too."""
    assert response_framing(status, method, length, chunked=chunked) == framing
