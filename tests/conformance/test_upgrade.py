"""Upgrades become tunnels that change nothing, and what is no upgrade never becomes one."""

from __future__ import annotations

import threading

import pytest

from tests.conformance.client import Client, post, request
from tests.conformance.instance import CLOSE as CLOSED
from tests.conformance.instance import HALF_CLOSE, RESET, Step, head, ok
from tests.conformance.judge import Stream
from tests.conformance.scene import Scene, staged
from tests.dataplane.snapshots import Entity, route
from tests.support.wait import wait_until


def upgrading(name: str, protocols: list[str] | None, **timeouts: float) -> Entity:
    policy = None if protocols is None else {"protocols": protocols}
    times = {"connect": None, "first_byte": None, "idle": None, "total": None, "tunnel": None}
    policies = {"upgrade": policy, "timeouts": {**times, **timeouts}}
    return route(name, f"/{name}", policies=policies)


ENTITIES = [
    upgrading("any", ["*"]),
    upgrading("none", None),
    upgrading("brief", ["websocket"], tunnel=0.6),
]

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
    assert got.one("Upgrade") in (None, b"websocket")
    assert got.one("HTTP2-Settings") is None


@pytest.mark.parametrize(
    "offer",
    [
        *(b"h2c", b"H2C", b"h2c;q=1", b"h2c x", b'"h2c"', b"h2c/", b"h2c/2", b"/h2c", b"h2"),
        *(b"HTTP/2.0", b"http/2", b"HTTP/3", b"HTTP/1.1", b"HTTP", b"TLS/1.0", b"tls/1.2", b",, "),
    ],
)
def test_any_protocol_is_none_with_requests_of_its_own(scene: Scene, offer: bytes) -> None:
    """Where every protocol is allowed, HTTP in disguise still is not."""
    got = scene.forwards(request(b"Upgrade: " + offer, b"Connection: Upgrade", target=b"/any"))
    assert got.one("Upgrade") is got.one("Connection") is None


@pytest.mark.parametrize("origin", [b"https://evil.example", b"null"])
def test_origin_is_relayed_untouched(scene: Scene, origin: bytes) -> None:
    """Whether an origin may open a WebSocket is the instance's to say."""
    assert scene.forwards(request(*WEBSOCKET, b"Origin: " + origin)).one("Origin") == origin


# Tunnels

TEXT = b"\x81\x85abcd\t\x07\x0f\x08\x0e"
BINARY = b"\x02\xfe\x01\x00abcd" + bytes(256) + b"\x80\x80abcd"
CLOSE = b"\x88\x87abcd\x62\x8a\x04\x1d\x04"
AGREED = head(b"Upgrade: websocket", b"Connection: Upgrade", status=SWITCHING)


def echo(stream: Stream) -> bool:
    """Give back every byte until the end, and end."""
    while (byte := stream.byte()) is not None:
        stream.connection.sendall(bytes((byte,)))
    return False


def tunnel(scene: Scene, *steps: Step, target: bytes = b"/") -> Client:
    """A client whose upgrade has been agreed to, with what the instance does then."""
    scene.instance.answers(AGREED, *steps)
    client = scene.client().send(request(*WEBSOCKET, target=target))
    answer = client.head()
    assert answer.status == 101, answer
    assert answer.one("Upgrade") == b"websocket"
    assert answer.one("Connection") == b"Upgrade"
    return client


@pytest.mark.parametrize(
    "frames", [TEXT, BINARY, TEXT + BINARY + CLOSE, b"\x81\xffno frame at all"]
)
def test_bytes_of_a_tunnel_pass_unchanged(scene: Scene, frames: bytes) -> None:
    """Text, binary, fragments, the code of a close: what is in a tunnel is its ends' affair."""
    with tunnel(scene, echo) as client:
        for at in range(len(frames)):
            client.send(frames[at : at + 1])
        assert client.data(len(frames)) == frames
        assert client.half_close().ends()


@pytest.mark.parametrize("token", [b"chat", b"x/1.0", b"IRC/6.9"])
def test_any_protocol_is_tunnelled_where_the_route_allows_it(scene: Scene, token: bytes) -> None:
    """A tunnel knows nothing of what it carries."""
    agreed = head(b"Upgrade: " + token, b"Connection: upgrade", status=SWITCHING)
    scene.instance.answers(agreed, echo)
    with scene.client() as client:
        client.send(request(b"Upgrade: " + token, b"Connection: Upgrade", target=b"/any"))
        assert client.head().one("Upgrade") == token
        assert client.send(b"\0\r\n\xff").data(4) == b"\0\r\n\xff"
        assert client.half_close().ends()


def test_route_without_upgrades_forwards_none(scene: Scene) -> None:
    """The request is an ordinary one there."""
    got = scene.forwards(request(*WEBSOCKET, target=b"/none"))
    assert got.one("Upgrade") is got.one("Connection") is None


@pytest.mark.parametrize("token", [b"WebSocket", b"WEBSOCKET"])
def test_protocols_are_compared_without_case(scene: Scene, token: bytes) -> None:
    """Some servers write it so."""
    scene.instance.answers(
        head(b"Upgrade: " + token, b"Connection: Upgrade", status=SWITCHING), echo
    )
    with scene.client() as client:
        assert client.send(request(*WEBSOCKET)).head().status == 101
        assert client.half_close().ends()


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"Upgrade: chat", b"Connection: Upgrade"),
        (b"Upgrade: websocket, chat", b"Connection: Upgrade"),
        (b"Upgrade: web\xc5\xbfocket", b"Connection: Upgrade"),
        (b"Upgrade:", b"Connection: Upgrade"),
    ],
)
def test_switch_to_what_was_not_offered_fails(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """Another protocol than was asked for, or none, is 502."""
    scene.instance.answers(head(*lines, status=SWITCHING))
    answer = scene.ask(request(*WEBSOCKET))
    assert (answer.status, answer.code) == (502, "malformed_response")


def test_switch_has_the_headers_of_its_end_only(scene: Scene) -> None:
    """Hop-by-hop headers of a 101 are dropped but for those that make it one."""
    lines = (b"Upgrade: websocket", b"Connection: Upgrade, X-Hop", b"X-Hop: 1", b"Keep-Alive: x")
    accept = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    scene.instance.answers(head(*lines, accept, status=SWITCHING), echo)
    with scene.client() as client:
        answer = client.send(request(*WEBSOCKET)).head()
        names = {name.lower() for name, _ in answer.headers} - {b"date"}
        assert names == {b"upgrade", b"connection", b"sec-websocket-accept"}
        assert client.half_close().ends()


@pytest.mark.parametrize("status", [b"400 Bad Request", b"426 Upgrade Required", b"403 Forbidden"])
def test_refused_handshake_is_relayed(scene: Scene, status: bytes) -> None:
    """A wrong key or version is the instance's to refuse, and nobody hangs."""
    scene.instance.answers(ok(b"no", status=status))
    with scene.client() as client:
        lines = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Key: x")
        assert b"%d" % client.send(request(*lines)).answer().status == status[:3]
        assert client.send(request(target=b"/next")).answer().body == b"GET /next"


def test_nothing_is_lost_around_the_switch(scene: Scene) -> None:
    """What the instance sends with its 101, and the client before it, arrives."""
    goes_on = threading.Event()
    scene.instance.answers(goes_on, AGREED + b"at once", echo)
    with scene.client() as client:
        client.send(request(*WEBSOCKET) + request(target=b"/no-request"))
        scene.instance.whole_request()
        goes_on.set()
        assert client.head().status == 101
        assert client.data(7) == b"at once"
        early = request(target=b"/no-request")
        assert client.data(len(early)) == early
        assert client.half_close().ends()
    assert [got.target for got in scene.instance.requests] == [b"/"]


def test_end_of_one_side_leaves_the_other(scene: Scene) -> None:
    """A half-close is passed on, whichever side it comes from."""
    with tunnel(
        scene, lambda stream: stream.connection.sendall(stream.rest() + b"!"), CLOSED
    ) as client:
        assert client.send(b"hello").half_close().data(6) == b"hello!"
        assert client.ends()
    got: list[bytes] = []
    with tunnel(scene, HALF_CLOSE, lambda stream: got.append(stream.rest()), CLOSED) as client:
        assert client.ends()
        client.send(b"hello").half_close()
        wait_until(lambda: got == [b"hello"])


def test_client_that_is_gone_ends_the_instances_side(scene: Scene) -> None:
    """A reset is passed on as an end."""
    client = tunnel(scene, echo)
    client.reset()
    number = scene.instance.request().connection
    wait_until(lambda: number not in scene.instance.open_connections)


def test_instance_that_is_gone_ends_the_clients_side(scene: Scene) -> None:
    """The other way round."""
    with tunnel(scene, RESET) as client:
        assert client.ends()


def test_silent_tunnel_is_ended(scene: Scene) -> None:
    """After its idle time, with a close frame where it is a WebSocket."""
    with tunnel(scene, lambda stream: stream.rest() and None, CLOSED, target=b"/brief") as client:
        assert client.data(4) == b"\x88\x02\x03\xe9"
        assert client.ends()


def test_tunnel_that_speaks_is_not_silent(scene: Scene) -> None:
    """Words of either side count."""
    with tunnel(scene, echo, target=b"/brief") as client:
        for _ in range(5):
            threading.Event().wait(0.25)
            assert client.send(b"\x8a\x80abcd").data(6) == b"\x8a\x80abcd"


def test_drain_ends_a_websocket_in_its_own_words() -> None:
    """A gateway that goes away says 1001 to both sides."""
    got: list[bytes] = []
    with staged() as scene:
        steps = (lambda stream: got.append(stream.exactly(8)), CLOSED)
        with tunnel(scene, *steps) as client:
            assert scene.gateway.drain() == "drained"
            assert client.data(4) == b"\x88\x02\x03\xe9"
            assert client.ends()
        wait_until(lambda: bool(got))
        frame = got[0]
        assert frame[:2] == b"\x88\x82"
        assert bytes(a ^ b for a, b in zip(frame[6:], frame[2:6], strict=False)) == b"\x03\xe9"
