"""What is no upgrade never becomes one."""

from __future__ import annotations

import threading

import pytest

from tests.conformance.client import post, request
from tests.conformance.instance import head, ok
from tests.conformance.scene import Scene
from tests.support.wait import wait_until

WEBSOCKET = (
    *(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"),
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHING = b"101 Switching Protocols"


@pytest.mark.parametrize("lines", [WEBSOCKET, (b"Upgrade: x", b"Connection: upgrade")])
def test_upgrade_that_is_declined_is_an_ordinary_request(
    scene: Scene, lines: tuple[bytes, ...]
) -> None:
    """An instance that answers 200 has answered, and the connection goes on with HTTP."""
    scene.instance.answers(ok(b"no"))
    with scene.client() as client:
        assert client.send(request(*lines)).answer().body == b"no"
        assert client.send(request(target=b"/next")).answer().body == b"GET /next"


@pytest.mark.parametrize("lines", [WEBSOCKET, (b"Upgrade: x", b"Connection: upgrade")])
def test_bytes_behind_an_upgrade_wait_for_its_answer(
    scene: Scene, lines: tuple[bytes, ...]
) -> None:
    """What follows a request for an upgrade stays with us until the instance has agreed."""
    goes_on = threading.Event()
    scene.instance.answers(goes_on, ok(b"no"))
    with scene.client() as client:
        client.send(request(*lines) + request(target=b"/next"))
        scene.instance.whole_request()
        before = scene.counter("bytes_received")
        client.send(request(target=b"/third"))
        wait_until(lambda: scene.counter("bytes_received") > before)
        goes_on.set()
        assert [client.answer().body for _ in range(3)] == [b"no", b"GET /next", b"GET /third"]
    assert [got.target for got in scene.instance.requests] == [b"/", b"/next", b"/third"]


@pytest.mark.parametrize("lines", [(), (b"Connection: upgrade",), (b"Upgrade: websocket",)])
def test_switch_that_nobody_asked_for_fails(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """101 without a complete request for it is 502, and no byte of the client's follows it."""
    scene.instance.answers(
        head(b"Upgrade: websocket", b"Connection: Upgrade", status=SWITCHING),
    )
    with scene.client() as client:
        answer = client.send(request(*lines) + request(target=b"/next")).answer()
        assert (answer.status, answer.code) == (502, "malformed_response")
        assert client.answer().body == b"GET /next"


def test_upgrade_with_a_body_is_no_upgrade(scene: Scene) -> None:
    """A request with a body is forwarded without its Upgrade, or refused."""
    answer = scene.ask(post(b"hello", *WEBSOCKET))
    if answer.status == 200:
        got = scene.instance.whole_request()
        assert got.one("Upgrade") is got.one("Connection") is None
        assert got.body == b"hello"
    else:
        assert answer.status == 400


@pytest.mark.parametrize("token", [b"h2c", b"H2C", b"HTTP/2.0", b"TLS/1.0"])
def test_upgrade_to_another_http_is_not_forwarded(scene: Scene, token: bytes) -> None:
    """Behind an upgrade to HTTP/2 the instance would take requests that nobody has judged."""
    lines = (b"Upgrade: " + token, b"HTTP2-Settings: AAMAAABkAAQAAP__")
    got = scene.forwards(request(*lines, b"Connection: Upgrade, HTTP2-Settings"))
    assert got.one("Upgrade") is got.one("HTTP2-Settings") is got.one("Connection") is None


@pytest.mark.parametrize("origin", [b"https://evil.example", b"null"])
def test_origin_is_relayed_untouched(scene: Scene, origin: bytes) -> None:
    """Whether an origin may open a WebSocket is the instance's to say."""
    assert scene.forwards(request(*WEBSOCKET, b"Origin: " + origin)).one("Origin") == origin
