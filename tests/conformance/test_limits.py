"""Every limit at n - 1, n and n + 1: by default, by a setting, and by one of a listener."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.conformance.client import post, post_chunks, request
from tests.conformance.instance import head, ok
from tests.conformance.scene import Scene, staged
from tests.dataplane.snapshots import route


@dataclass(frozen=True)
class Limits:
    head: int
    line: int
    target: int
    headers: int
    answer_head: int
    """Of answers, the general one, whatever a listener says."""
    answer_headers: int


DEFAULTS = Limits(32 * 1024, 8 * 1024, 8 * 1024, 100, 32 * 1024, 100)
OWN = Limits(4096, 1000, 500, 20, 4096, 20)
SMALL_BODY = route("small", "/small", policies={"limits": {"max_request_body": 1000}})
NO_BODY = route("none", "/none", policies={"limits": {"max_request_body": 0}})
UNLIMITED = route("unlimited", "/unlimited", policies={"limits": {"max_request_body": None}})


@pytest.fixture(scope="module", params=["default", "own", "listener's"])
def _limited(request: pytest.FixtureRequest) -> Iterator[tuple[Scene, Limits]]:
    """A scene and its limits."""
    limits = DEFAULTS if request.param == "default" else OWN
    given = {
        "max_head_bytes": OWN.head,
        "max_header_line_bytes": OWN.line,
        "max_target_bytes": OWN.target,
        "max_headers": OWN.headers,
    }
    settings: dict[str, Any] = {} if request.param == "default" else given
    if request.param == "listener's":
        settings = {"listeners": {"http": given}}
        limits = replace(limits, answer_head=DEFAULTS.answer_head, answer_headers=100)
    with staged(SMALL_BODY, NO_BODY, UNLIMITED, **settings) as scene:
        yield scene, limits


@pytest.fixture
def limited(_limited: tuple[Scene, Limits]) -> Iterator[tuple[Scene, Limits]]:
    scene, _ = _limited
    scene.instance.begin()
    yield _limited
    scene.is_clean()


def checks(scene: Scene, raw: bytes, is_within: bool, status: int, code: str) -> None:
    if is_within:
        assert scene.forwards(raw).method == b"GET"
    else:
        scene.refuses(raw, status, code)


AROUND = pytest.mark.parametrize("more", [-1, 0, 1])


@AROUND
def test_target(limited: tuple[Scene, Limits], more: int) -> None:
    """A target of the limit passes, a longer one is 414."""
    scene, limits = limited
    for beginning in (b"/", b"/?q="):
        target = beginning.ljust(limits.target + more, b"x")
        checks(scene, request(target=target), more <= 0, 414, "target_too_long")


def test_endless_target(limited: tuple[Scene, Limits]) -> None:
    """A target that never ends is 414 before it has."""
    scene, limits = limited
    scene.refuses(b"GET /" + b"x" * (limits.head + 1), 414, "target_too_long")


@AROUND
@pytest.mark.parametrize("name", [b"X", b"Cookie", b"X-" + b"y" * 400])
@pytest.mark.parametrize("filling", [b"z", b" ", b"\t"])
def test_header_line(limited: tuple[Scene, Limits], more: int, name: bytes, filling: bytes) -> None:
    """A line of the limit, its end counted, passes; a longer one, be it of spaces, is 431."""
    scene, limits = limited
    line = (name + b":").ljust(limits.line + more - 3, filling) + b"z"
    checks(scene, request(line), more <= 0, 431, "headers_too_large")


@AROUND
def test_number_of_headers(limited: tuple[Scene, Limits], more: int) -> None:
    """As many lines as the limit pass, one more is 431."""
    scene, limits = limited
    lines = [b"X: y"] * (limits.headers + more - 1)
    checks(scene, request(*lines), more <= 0, 431, "headers_too_large")


@AROUND
def test_head(limited: tuple[Scene, Limits], more: int) -> None:
    """A head of the limit, its empty line counted, passes; a longer one is 431."""
    scene, limits = limited
    line = b"X: ".ljust(limits.line // 2, b"y")
    raw = request(*[line] * (limits.head // (len(line) + 2) - 1))
    raw = request(
        *[line] * (raw.count(line)), b"Y: ".ljust(limits.head + more - len(raw) - 2, b"z")
    )
    assert len(raw) == limits.head + more
    checks(scene, raw, more <= 0, 431, "headers_too_large")


def test_endless_head(limited: tuple[Scene, Limits]) -> None:
    """A head that never ends is 431 before it has."""
    scene, limits = limited
    scene.refuses(request()[:-2] + b"X: y\r\n" * limits.head, 431, "headers_too_large")


@AROUND
def test_head_of_an_answer(limited: tuple[Scene, Limits], more: int) -> None:
    """An instance's head of the limit passes, a longer one is 502."""
    scene, limits = limited
    line = b"X: ".ljust(limits.line // 2, b"y")
    raw = ok(b"", *[line] * (limits.answer_head // (len(line) + 2) - 1))
    raw = ok(
        b"", *[line] * raw.count(line), b"Y: ".ljust(limits.answer_head + more - len(raw) - 2, b"z")
    )
    assert len(raw) == limits.answer_head + more
    scene.instance.answers(raw)
    answer = scene.ask(request())
    assert answer.status == (200 if more <= 0 else 502)
    assert more <= 0 or answer.code == "response_headers_too_large"


@AROUND
def test_number_of_headers_of_an_answer(limited: tuple[Scene, Limits], more: int) -> None:
    """An instance's lines up to the limit pass, one more is 502."""
    scene, limits = limited
    scene.instance.answers(
        head(*[b"X: y"] * (limits.answer_headers + more - 1), b"Content-Length: 0")
    )
    answer = scene.ask(request())
    assert answer.status == (200 if more <= 0 else 502)
    assert more <= 0 or answer.code == "response_headers_too_large"


def test_endless_head_of_an_answer(limited: tuple[Scene, Limits]) -> None:
    """An instance whose head never ends is 502."""
    scene, _ = limited
    scene.instance.answers(head(b"X: y")[:-2] + b"X: y\r\n" * 100_000)
    assert scene.ask(request()).code == "response_headers_too_large"


@AROUND
@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize(("target", "limit"), [(b"/small", 1000), (b"/none", 0)])
def test_body(
    limited: tuple[Scene, Limits], more: int, is_chunked: bool, target: bytes, limit: int
) -> None:
    """A body of the limit passes, a longer one is 413, told by its length or counted."""
    scene, _ = limited
    body = b"x" * max(0, limit + more)
    pieces = [body[at : at + 300] for at in range(0, len(body), 300)]
    raw = post_chunks(*pieces, target=target) if is_chunked else post(body, target=target)
    if len(body) <= limit:
        assert scene.forwards(raw).body == body
    else:
        answer = scene.ask(raw)
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert not any(got.is_complete for got in scene.instance.requests)


@AROUND
def test_body_by_default(limited: tuple[Scene, Limits], more: int) -> None:
    """Where nothing is said, ten mebibytes pass, and more is refused before it is sent."""
    scene, _ = limited
    raw = post(bytes((10 << 20) + more))
    if more <= 0:
        assert len(scene.forwards(raw).body) == (10 << 20) + more
    else:
        scene.refuses(raw[:200].partition(b"\0")[0], 413, "body_too_large")


def test_body_without_a_limit(limited: tuple[Scene, Limits]) -> None:
    """A route may say that there is none."""
    scene, _ = limited
    body = bytes(11 << 20)
    assert scene.forwards(post(body, target=b"/unlimited")).body == body


@AROUND
def test_line_of_a_chunk(scene: Scene, more: int) -> None:
    """A chunk's line up to its bound passes, whatever its extension says, and a longer one breaks."""
    line = b"5;a=".ljust(1024 - 2 + more, b"b")
    body = line + b"\r\nhello\r\n0\r\n\r\n"
    raw = request(b"Transfer-Encoding: chunked", method=b"POST", body=body)
    if more <= 0:
        assert scene.forwards(raw).body == b"hello"
    else:
        assert scene.ask(raw).code == "malformed_request_body"


@AROUND
def test_trailers(scene: Scene, more: int) -> None:
    """Trailers up to their bound pass, and more break the body."""
    line = b"X-Trailer: ".ljust(8192 - 4 + more, b"y") + b"\r\n"
    raw = request(b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n" + line + b"\r\n")
    if more <= 0:
        assert scene.forwards(raw).body == b""
    else:
        assert scene.ask(raw).code == "malformed_request_body"


def test_requests_of_a_connection() -> None:
    """A connection ends with about the request that the setting says, a tenth more or less."""
    with staged(keepalive_requests=20) as scene:
        served = set()
        for _ in range(20):
            with scene.client() as client:
                number = 1
                while not client.send(request()).answer().is_last:
                    number += 1
                assert client.ends()
            served.add(number)
        assert served <= set(range(18, 23))
        assert len(served) > 1
        scene.is_clean()
