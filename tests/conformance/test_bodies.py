"""Bodies pass as they come, complete or recognisably not, and bounded by what their reader takes."""

from __future__ import annotations

import random
import threading

import pytest

from tests.conformance.client import post, post_chunks, request
from tests.conformance.instance import chunked, head, ok
from tests.conformance.judge import Stream
from tests.conformance.scene import Scene
from tests.dataplane.snapshots import service
from tests.support.wait import wait_until

ENTITIES = [service(policies={"limits": {"max_request_body": None}})]

MEGABYTE = random.Random(3).randbytes(1 << 20)
BOUND = 256 * 1024
"""What the gateway may hold for one connection."""


@pytest.mark.parametrize("is_chunked", [True, False])
def test_megabyte_arrives_intact_both_ways(scene: Scene, is_chunked: bool) -> None:
    """A body passes byte for byte, whatever frames it."""
    pieces = [MEGABYTE[at : at + 70_000] for at in range(0, len(MEGABYTE), 70_000)]
    scene.instance.answers(chunked(*pieces) if is_chunked else ok(MEGABYTE))
    answer = scene.ask(post_chunks(*pieces) if is_chunked else post(MEGABYTE))
    assert answer.body == MEGABYTE
    assert answer.is_chunked is is_chunked
    assert scene.instance.whole_request().body == MEGABYTE


@pytest.mark.parametrize("is_chunked", [True, False])
def test_request_is_forwarded_before_it_is_complete(scene: Scene, is_chunked: bool) -> None:
    """A request's body is not gathered first."""
    raw = post_chunks(b"hello", b"world") if is_chunked else post(b"helloworld")
    beginning = raw.split(b"world")[0]
    got: list[bytes] = []
    seen = threading.Event()

    def take_five(stream: Stream) -> bool:
        if is_chunked:
            assert stream.exactly(3) == b"5\r\n"
        got.append(stream.exactly(5))
        seen.set()
        return False

    scene.instance.answers_early(take_five)
    with scene.client() as client:
        client.send(beginning)
        assert seen.wait(10)
        assert got == [b"hello"]


def test_answer_is_forwarded_before_it_is_complete(scene: Scene) -> None:
    """An answer's body is not gathered first: what the instance sends, the client has."""
    goes_on = threading.Event()
    scene.instance.answers(head(b"Content-Length: 10") + b"hello", goes_on, b"world")
    with scene.client() as client:
        client.send(request())
        client.head()
        assert client.data(5) == b"hello"
        goes_on.set()
        assert client.data(5) == b"world"


# Cut by the client


@pytest.mark.parametrize("raw", [post(b"hello"), post_chunks(b"hello")], ids=["length", "chunked"])
@pytest.mark.parametrize("left", [1, 5])
def test_body_shorter_than_it_says_is_refused(scene: Scene, raw: bytes, left: int) -> None:
    """A client that ends in the middle of its body is told 400, and the instance gets no whole body."""
    with scene.client() as client:
        answer = client.send(raw[:-left]).half_close().answer()
        assert (answer.status, answer.code) == (400, "malformed_request_body")
        assert client.ends()
    assert not any(got.is_complete for got in scene.instance.requests)


@pytest.mark.parametrize("raw", [post(b"hello"), post_chunks(b"hello")], ids=["length", "chunked"])
@pytest.mark.parametrize("is_reset", [True, False])
def test_client_that_leaves_in_its_body_takes_the_instances_connection_along(
    scene: Scene, raw: bytes, is_reset: bool
) -> None:
    """The instance never takes half a body for a whole one."""
    with scene.client() as client:
        client.send(raw[:-1])
        got = scene.instance.request()
        if is_reset:
            client.reset()
        else:
            client.close()
    wait_until(lambda: got.connection not in scene.instance.open_connections)
    assert not got.is_complete


def test_client_that_leaves_unanswered_cancels_the_request(scene: Scene) -> None:
    """What nobody waits for any more is not waited for; it is counted as the client's doing."""
    before = scene.failures("client_gone")
    left = threading.Event()
    scene.instance.answers(left, lambda stream: stream.rest() and None)
    with scene.client() as client:
        client.send(request())
        scene.instance.whole_request()
        client.reset()
    wait_until(lambda: scene.failures("client_gone") == before + 1)
    left.set()
    wait_until(lambda: scene.instance.request().connection not in scene.instance.open_connections)


def test_client_that_leaves_in_the_answer_cancels_it(scene: Scene) -> None:
    """The instance is not read to the end for nobody."""
    before = scene.failures("client_gone_in_response")
    scene.instance.answers(
        head(b"Content-Length: 10") + b"hello", lambda stream: stream.rest() and None
    )
    with scene.client() as client:
        client.send(request())
        client.head()
        client.reset()
    wait_until(lambda: scene.failures("client_gone_in_response") == before + 1)
    wait_until(lambda: scene.instance.request().connection not in scene.instance.open_connections)


@pytest.mark.parametrize("raw", [request(), post(b"hello"), post_chunks(b"hello")])
def test_half_closed_client_gets_its_answer(scene: Scene, raw: bytes) -> None:
    """A client that has asked all it wants may say so and still reads."""
    goes_on = threading.Event()
    scene.instance.answers(goes_on, ok(b"answer"))
    with scene.client() as client:
        client.send(raw).half_close()
        scene.instance.whole_request()
        goes_on.set()
        assert client.answer().body == b"answer"
        assert client.ends()


def test_client_that_closes_unanswered_is_taken_for_one_that_reads(scene: Scene) -> None:
    """An end looks the same whether its sender reads on; the answer goes, and nothing is left over."""
    goes_on = threading.Event()
    scene.instance.answers(goes_on, ok(b"answer"))
    with scene.client() as client:
        client.send(request())
        scene.instance.whole_request()
    goes_on.set()
    wait_until(lambda: scene.counter("connections_now") == 0)


# Back-pressure


def test_reader_that_stalls_stalls_the_instance(scene: Scene) -> None:
    """Nothing is read that cannot be passed on; when the reader goes on, every byte comes."""
    before = scene.counter("upstream_bytes_received")
    length = b"Content-Length: %d" % (32 * len(MEGABYTE))
    scene.instance.answers(head(length), *(MEGABYTE for _ in range(32)))
    with scene.client(receive_buffer=4096) as client:
        client.send(request())
        client.head()
        scene.when_still("upstream_bytes_received", before + 64 * 1024)
        assert scene.gateway.ask()["buffered"] <= BOUND
        for _ in range(32):
            assert client.data(len(MEGABYTE)) == MEGABYTE


@pytest.mark.parametrize("is_chunked", [True, False])
def test_instance_that_stalls_stalls_the_client(scene: Scene, is_chunked: bool) -> None:
    """Nothing is taken from a client that cannot be passed on; when the instance goes on, all comes."""
    before = scene.counter("bytes_received")
    goes_on = threading.Event()
    scene.instance.answers_early(goes_on, then=(ok(),))
    raw = post_chunks(*[MEGABYTE] * 16) if is_chunked else post(MEGABYTE * 16)
    with scene.client() as client:
        sender = threading.Thread(target=client.send, args=(raw,), daemon=True)
        sender.start()
        scene.when_still("bytes_received", before + 64 * 1024)
        assert scene.gateway.ask()["buffered"] <= BOUND
        goes_on.set()
        got = scene.instance.whole_request()
        assert got.body == MEGABYTE * 16
        sender.join(10)
