"""Several requests on one connection: each gets its own answer, in order."""

from __future__ import annotations

import random
import threading

import pytest

from tests.conformance.client import Client, post, post_chunks, request
from tests.conformance.instance import Step, ok
from tests.conformance.judge import Request
from tests.conformance.scene import Scene
from tests.dataplane.snapshots import answering_route
from tests.support.wait import wait_until

SETTINGS = {"keepalive_requests": 100_000}
ENTITIES = [
    answering_route("own", "/own", respond={"status": 200, "headers": {}, "body": "own"}),
]


def late(got: Request) -> tuple[Step, ...]:
    """Answer with what was asked, after a random while."""
    seconds = random.Random(got.target).uniform(0, 0.004)
    return lambda _: threading.Event().wait(seconds) or None, ok(got.target + b" " + got.body)


@pytest.mark.parametrize("connections", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_answers_come_in_the_order_of_requests(scene: Scene, connections: int) -> None:
    """Fifty requests at once on each of many connections, with answers of random delays: no swaps."""
    scene.instance.responds(late)
    clients = [scene.client() for _ in range(connections)]
    for number, client in enumerate(clients):
        client.send(b"".join(request(target=b"/%d/%d" % (number, turn)) for turn in range(50)))
    for number, client in enumerate(clients):
        with client:
            for turn in range(50):
                assert client.answer().body == b"/%d/%d " % (number, turn)


def test_next_request_waits_for_the_answer(scene: Scene) -> None:
    """An instance never has two requests of one connection at a time."""
    goes_on = threading.Event()
    scene.instance.answers(goes_on, ok(b"first"))
    with scene.client() as client:
        client.send(request() + request(target=b"/next"))
        scene.instance.whole_request()
        before = scene.counter("bytes_received")
        client.send(request(target=b"/third"))
        wait_until(lambda: scene.counter("bytes_received") > before)
        assert len(scene.instance.requests) == 1
        goes_on.set()
        assert [client.answer().body for _ in range(3)] == [b"first", b"GET /next", b"GET /third"]


@pytest.mark.parametrize("body", [b"", b"hello", request(target=b"/smuggled")])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_request_after_a_body_is_found(scene: Scene, body: bytes, is_chunked: bool) -> None:
    """What follows a body is the next request, and what looks like one inside is not."""
    first = post_chunks(*([body] if body else [])) if is_chunked else post(body)
    for one_by_one in (False, True):
        with scene.client() as client:
            client.send(first + request(target=b"/next"), one_by_one=one_by_one)
            assert client.answer().body == b"POST /"
            assert client.answer().body == b"GET /next"
    assert [got.target for got in scene.instance.requests] == [b"/", b"/next"] * 2


def test_answers_of_the_gateways_own_keep_their_place(scene: Scene) -> None:
    """Answers at hand don't overtake those that are awaited."""
    scene.instance.responds(late)
    targets = [b"/own" if turn % 3 else b"/%d" % turn for turn in range(60)]
    with scene.client() as client:
        client.send(b"".join(request(target=target) for target in targets))
        for target in targets:
            body = client.answer().body
            assert body == (b"own" if target == b"/own" else target + b" ")


@pytest.mark.parametrize(
    "last",
    [
        request(b"Connection: close"),
        request(b"Connection: keep-alive, Close"),
        request(b"Connection: x", b"Connection: close"),
        request(version=b"HTTP/1.0"),
    ],
)
def test_nothing_follows_the_last_request(scene: Scene, last: bytes) -> None:
    """After a request that ends the connection, nothing is read as one."""
    with scene.client() as client:
        client.send(request() + last + request(target=b"/more"))
        assert not client.answer().is_last
        assert client.answer().is_last
        assert client.ends()
    assert len(scene.instance.requests) == 2


def test_nothing_follows_a_refusal(scene: Scene) -> None:
    """Requests before a malformed one are answered, requests after it never seen."""
    with scene.client() as client:
        client.send(request() + b"GET / HTTP/1.1\r\n\r\n" + request(target=b"/more"))
        assert [client.answer().status, client.answer().status] == [200, 400]
        assert client.ends()
    assert len(scene.instance.requests) == 1


@pytest.mark.parametrize("connection", [b"keep-alive", b"Keep-Alive", b"x, keep-alive"])
def test_http_1_0_keeps_its_connection_when_it_asks_to(scene: Scene, connection: bytes) -> None:
    """HTTP/1.0 closes unless both sides say otherwise."""
    with scene.client() as client:
        client.send(request(b"Connection: " + connection, version=b"HTTP/1.0"))
        assert client.answer().one("Connection") == b"keep-alive"
        assert client.send(request()).answer().status == 200


@pytest.mark.parametrize(
    "line", [b"Connection: keep-alive", b"Connection: upgrade", b"Connection: Keep-Alive, Upgrade"]
)
def test_http_1_1_keeps_its_connection_whatever_else_it_says(scene: Scene, line: bytes) -> None:
    """Without close, an HTTP/1.1 connection goes on, and nothing of the header goes with it."""
    with scene.client() as client:
        assert not client.send(request(line)).answer().is_last
        assert client.send(request(target=b"/next")).answer().body == b"GET /next"
    assert scene.instance.request().one("Connection") is None


def test_what_waits_is_bounded(scene: Scene) -> None:
    """While an answer is awaited, the gateway stops reading a client that sends on and on."""
    goes_on = threading.Event()
    scene.instance.answers(goes_on, ok(b"first"))
    before = scene.counter("bytes_received")
    flood = request(b"X: " + b"x" * 4000, target=b"/own") * 4000
    with scene.client() as client:
        client.send(request())
        scene.instance.whole_request()
        sender = threading.Thread(target=client.send, args=(flood,), daemon=True)
        sender.start()
        received = scene.when_still("bytes_received", before + 64 * 1024)
        assert received - before < 512 * 1024
        goes_on.set()
        assert client.answer().body == b"first"
        assert _answers(client, 4000)
        sender.join(10)
    assert scene.counter("bytes_received") - before >= len(flood)


def _answers(client: Client, number: int) -> bool:
    return all(client.answer().body == b"own" for _ in range(number))


def test_pipeline_behind_a_client_that_is_gone_is_not_served(scene: Scene) -> None:
    """Nobody's requests are not forwarded."""
    goes_on = threading.Event()
    scene.instance.answers(goes_on)
    with scene.client() as client:
        client.send(request() + request(target=b"/more") * 10)
        scene.instance.whole_request()
        client.reset()
    wait_until(lambda: scene.counter("connections_now") == 0)
    goes_on.set()
    scene.serves_others()
    assert b"/more" not in [got.target for got in scene.instance.requests]


def test_half_closed_pipeline_is_answered_to_its_end(scene: Scene) -> None:
    """A client that sends everything and ends its side gets every answer."""
    with scene.client() as client:
        client.send(b"".join(request(target=b"/%d" % turn) for turn in range(20))).half_close()
        assert [client.answer().body for _ in range(20)] == [
            b"GET /%d" % turn for turn in range(20)
        ]
        assert client.ends()
