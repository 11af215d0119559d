"""Trailers come when everything has been decided, and decide nothing."""

from __future__ import annotations

import pytest

from tests.conformance.client import request
from tests.conformance.instance import head
from tests.conformance.scene import Scene

CHUNKED = b"Transfer-Encoding: chunked"

FORBIDDEN = (
    *(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: evil.example", b"Connection: x"),
    *(
        b"Authorization: Bearer x",
        b"Cookie: a=b",
        b"X-Forwarded-For: 1.2.3.4",
        b"X-Tenant-Id: root",
    ),
    *(b"X_Tenant_Id: root", b"X_Forwarded_Proto: https", b"X-Real-IP: 1.2.3.4", b"Via: 1.1 x"),
    *(b"Upgrade: h2c", b"TE: gzip", b"Trailer: X", b"Expect: 100-continue", b"X-Request-Id: x"),
    *(b"Content-Type: x/y", b"Content-Encoding: gzip", b"Keep-Alive: x", b"Content_Length: 5"),
)


def with_trailer(line: bytes, *lines: bytes) -> bytes:
    body = b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n"
    return request(CHUNKED, *lines, method=b"POST", body=body)


@pytest.mark.parametrize("line", FORBIDDEN)
@pytest.mark.parametrize("is_announced", [True, False])
def test_trailer_that_would_decide_something_is_dropped(
    scene: Scene, line: bytes, is_announced: bool
) -> None:
    """What frames, routes, authenticates or identifies is nothing for a trailer."""
    name = line.partition(b":")[0]
    lines = (b"Trailer: " + name, b"TE: trailers") if is_announced else ()
    got = scene.forwards(with_trailer(line, *lines))
    assert got.body == b"hello"
    assert name.lower() not in [key.lower() for key, _ in got.trailers]
    if name != b"Transfer-Encoding":
        assert line.partition(b": ")[2] not in got.all(name.decode())


@pytest.mark.parametrize(
    "line", [*FORBIDDEN[:6], b"Set-Cookie: a=b", b"Location: /", b"WWW-Authenticate: x", b"Age: 1"]
)
def test_trailer_of_an_answer_that_would_decide_something_is_dropped(
    scene: Scene, line: bytes
) -> None:
    """The same holds for answers, whether or not the client wants trailers."""
    name = line.partition(b":")[0]
    body = b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n"
    scene.instance.answers(head(CHUNKED, b"Trailer: " + name) + body)
    answer = scene.ask(request(b"TE: trailers", b"Connection: TE"))
    assert answer.body == b"hello"
    assert name.lower() not in [key.lower() for key, _ in answer.trailers]


ANNOUNCED = pytest.mark.parametrize(
    ("lines", "announced"),
    [
        ((), None),
        ((b"Trailer: X-Sum",), b"X-Sum"),
        ((b"Trailer: X-Other",), b"X-Other"),
        (
            (b"Trailer: X-Sum,Host, X_Other", b"Trailer: Content-Length , X-Z"),
            b"X-Sum, X_Other, X-Z",
        ),
        ((b"Trailer: Authorization", b"Trailer:", b"Trailer: (x)"), None),
    ],
)
"""What a Trailer header says, and what is passed on of it."""


@ANNOUNCED
def test_trailer_of_a_request_is_passed_on(
    scene: Scene, lines: tuple[bytes, ...], announced: bytes | None
) -> None:
    """Announced or not, and not as a header; of what is announced, what may be passed on is."""
    got = scene.forwards(with_trailer(b"X-Sum: abc", *lines))
    assert got.trailers == [(b"X-Sum", b"abc")]
    assert got.one("X-Sum") is None
    assert got.one("Trailer") == announced


def test_trailer_that_connection_names_is_dropped(scene: Scene) -> None:
    """Hop-by-hop is hop-by-hop, at the end too."""
    assert scene.forwards(with_trailer(b"X-Sum: abc", b"Connection: x-sum")).trailers == []


@ANNOUNCED
def test_trailer_of_an_answer_is_passed_on(
    scene: Scene, lines: tuple[bytes, ...], announced: bytes | None
) -> None:
    """To a client that asks for it."""
    scene.instance.answers(head(CHUNKED, *lines) + b"5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n")
    answer = scene.ask(request(b"TE: trailers", b"Connection: TE"))
    assert (answer.body, answer.trailers) == (b"hello", [(b"X-Sum", b"abc")])
    assert answer.all("X-Sum") == []
    assert answer.one("Trailer") == announced


def test_trailer_for_a_client_of_http_1_0_is_dropped(scene: Scene) -> None:
    """Where there are no chunks, there is no place for it."""
    scene.instance.answers(head(CHUNKED) + b"5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n")
    assert scene.ask(request(version=b"HTTP/1.0")).body == b"hello"


@pytest.mark.parametrize(
    "value", [b"trailers", b"Trailers", b"deflate, trailers", b"trailers;q=0.5"]
)
def test_wish_for_trailers_is_passed_on(scene: Scene, value: bytes) -> None:
    """Of TE, that is what an instance has to know."""
    got = scene.forwards(request(b"TE: " + value, b"Connection: TE"))
    assert (got.one("TE"), got.one("Connection")) in ((b"trailers", b"TE"), (None, None))
    if value.lower() == b"trailers":
        assert got.one("TE") == b"trailers"


@pytest.mark.parametrize("value", [b"gzip", b"deflate;q=0.5", b"", b"xtrailers"])
def test_other_wishes_are_not(scene: Scene, value: bytes) -> None:
    """Codings are each connection's own."""
    got = scene.forwards(request(b"TE: " + value, b"Connection: TE"))
    assert got.one("TE") is got.one("Connection") is None
