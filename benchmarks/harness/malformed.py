"""Requests that no gateway may pass on, sent to the very port that is measured.

A gateway that forwards one of these is fast for the wrong reason: it has not
parsed what it carries. Each names its case in its path, so that the upstream's
log of such paths tells what got through.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Final, NamedTuple

from benchmarks.harness.upstream import MALFORMED_PATH, Upstream

_ANSWER_SECONDS: Final = 2.0
_LOG_SECONDS: Final = 0.2


class MalformedRequest(NamedTuple):
    """
    One of them, and how it is wrong.

    ``head_is_valid``: only the body is malformed. A gateway that streams may
    have passed the head on by the time it sees; it must then give up both
    sides, so an answer of 2xx is what convicts it.
    """

    name: str
    content: bytes
    head_is_valid: bool = False


def _request(name: str, method: str, headers: str, body: str = "") -> bytes:
    target = f"{MALFORMED_PATH}{name}"
    return f"{method} {target} HTTP/1.1\r\nHost: api.example.com\r\n{headers}\r\n{body}".encode()


_SMUGGLED: Final = _request("smuggled", "GET", "").decode()

MALFORMED: Final = (
    MalformedRequest(
        "content-length-and-chunked",
        _request(
            "content-length-and-chunked",
            "POST",
            f"Content-Length: {5 + len(_SMUGGLED)}\r\nTransfer-Encoding: chunked\r\n",
            f"0\r\n\r\n{_SMUGGLED}",
        ),
    ),
    MalformedRequest("bare-lf", _request("bare-lf", "GET", "X-One: 1\nX-Two: 2\r\n")),
    MalformedRequest(
        "space-before-colon",
        _request(
            "space-before-colon",
            "POST",
            "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
            "0\r\n\r\n",
        ),
    ),
    MalformedRequest(
        "bad-chunk-size",
        _request("bad-chunk-size", "POST", "Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n"),
        head_is_valid=True,
    ),
)


def send(port: int, content: bytes) -> bytes:
    """What comes back until the other side closes, or for a moment."""
    answer = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.sendall(content)
        while b"\r\n\r\n" not in answer:
            received = connection.recv(65536)
            if not received:
                break
            answer += received
    return answer


def succeeded(answer: bytes) -> bool:
    """Whether the status is 2xx."""
    return answer.startswith(b"HTTP/1.") and answer[9:10] == b"2"


def got_through(request: MalformedRequest, answer: bytes, noted: list[str]) -> bool:
    """Judge by the answer and by the lines that the upstream has noted since it was sent."""
    if succeeded(answer) or any("smuggled" in line for line in noted):
        return True
    return bool(noted) and not request.head_is_valid


def names_that_get_through(port: int, upstream: Upstream) -> list[str]:
    """Send them all to one port; returns the names of those that reached the upstream."""
    passed = []
    for request in MALFORMED:
        before = len(upstream.noted())
        answer = send(port, request.content)
        time.sleep(_LOG_SECONDS)
        if got_through(request, answer, upstream.noted()[before:]):
            passed.append(request.name)
    return passed
