"""Answers that come before the request is complete, and bodies that nobody wants."""

from __future__ import annotations

import threading

import pytest

from tests.conformance.client import AnswerCutError, post, post_chunks, request
from tests.conformance.instance import CLOSE, RESET, chunked, head, ok
from tests.conformance.scene import Scene
from tests.dataplane.snapshots import answering_route, route
from tests.support.wait import wait_until

ENTITIES = [
    answering_route("denied", "/denied", respond={"status": 403, "headers": {}, "body": "no"}),
    route("small", "/small", policies={"limits": {"max_request_body": 10}}),
    route("hasty", "/hasty", policies={"timeouts": (
        {"connect": None, "first_byte": 0.5, "idle": 0.5, "total": None})}),
    route("nowhere", "/nowhere", service_id="gone"),
]  # fmt: skip

EXPECT = b"Expect: 100-continue"
CONTINUE = head(status=b"100 Continue")
SMUGGLED = request(target=b"/smuggled")


# The gateway answers


@pytest.mark.parametrize(
    ("target", "status"), [(b"/denied", 403), (b"/small", 413), (b"/nowhere", 503)]
)
@pytest.mark.parametrize("body", [SMUGGLED * 2, SMUGGLED * 100, SMUGGLED * 20_000])
def test_unread_body_is_never_read_as_a_request(
    scene: Scene, target: bytes, status: int, body: bytes
) -> None:
    """Who is answered before the end of his body gets that answer, and the connection ends."""
    with scene.client() as client:
        sender = threading.Thread(
            target=client.send, args=(post(body, target=target),), daemon=True
        )
        sender.start()
        answer = client.answer()
        assert answer.status == status
        sender.join(10)
        if answer.is_last:
            assert client.ends()
    assert b"/smuggled" not in [got.target for got in scene.instance.requests]


@pytest.mark.parametrize("target", [b"/denied", b"/small", b"/nowhere"])
def test_unread_chunks_are_never_read_as_a_request(scene: Scene, target: bytes) -> None:
    """The same for a body in chunks."""
    with scene.client() as client:
        answer = client.send(post_chunks(*[SMUGGLED] * 50, target=target)).answer()
        assert answer.status >= 400
    assert b"/smuggled" not in [got.target for got in scene.instance.requests]


def test_client_that_never_sends_its_body_is_closed(scene: Scene) -> None:
    """An answered client whose body doesn't come isn't waited for."""
    with scene.client() as client:
        client.send(post(b"x" * 100, target=b"/denied")[:-50])
        assert client.answer().is_last
        assert client.ends()


# Expect


def test_expectation_is_the_instances_to_answer(scene: Scene) -> None:
    """100 Continue comes from the instance, and only then the body."""
    scene.instance.answers_early(CONTINUE, then=(ok(b"thanks"),))
    with scene.client() as client:
        client.send(post(b"", EXPECT).replace(b"Content-Length: 0", b"Content-Length: 5"))
        assert client.head().status == 100
        got = scene.instance.request()
        assert got.one("Expect") == b"100-continue"
        assert not got.is_complete
        assert client.send(b"hello").answer().body == b"thanks"
    assert scene.instance.whole_request().body == b"hello"


@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"401 Unauthorized", b"200 OK"])
def test_declined_expectation_spares_the_body(scene: Scene, status: bytes) -> None:
    """A final answer instead of 100 is relayed; the body is not uploaded, and both connections end."""
    scene.instance.answers_early(ok(b"no", status=status))
    with scene.client() as client:
        client.send(post(b"x" * 100_000, EXPECT)[:-100_000])
        answer = client.answer()
        assert (b"%d" % answer.status, answer.body) == (status[:3], b"no")
        assert answer.is_last
        assert client.ends()
    got = scene.instance.request()
    wait_until(lambda: got.connection not in scene.instance.open_connections)
    assert (got.body, got.is_complete) == (b"", False)


@pytest.mark.parametrize("is_chunked", [True, False])
def test_declined_expectation_may_have_a_large_answer(scene: Scene, is_chunked: bool) -> None:
    """Ten megabytes of an answer arrive although the body never does."""
    body = bytes(range(256)) * 4096 * 10
    pieces = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    scene.instance.answers_early(chunked(*pieces) if is_chunked else ok(body, status=b"413 Large"))
    with scene.client() as client:
        client.send(post(b"x" * 100, EXPECT)[:-100])
        assert client.answer().body == body


def test_declined_expectation_whose_answer_is_cut_is_cut(scene: Scene) -> None:
    """An answer aborted half-way is aborted for the client."""
    body = bytes(1 << 20)
    scene.instance.answers_early(head(b"Content-Length: %d" % (2 * len(body))) + body, RESET)
    with scene.client() as client:
        client.send(post(b"x" * 100, EXPECT)[:-100])
        with pytest.raises(AnswerCutError):
            client.answer()


@pytest.mark.parametrize(
    "value", [b"y 100-continue", b"100-continue, x", b"x", b"", b"100-continued"]
)
def test_other_expectations_fail(scene: Scene, value: bytes) -> None:
    """There is one expectation."""
    scene.refuses(post(b"", b"Expect: " + value), 417, "expectation_failed")


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
def test_expectation_is_known_in_any_case(scene: Scene, value: bytes) -> None:
    """And forwarded in the canonical one."""
    scene.instance.answers_early(CONTINUE, then=(ok(),))
    got = scene.forwards(post(b"hello", b"Expect: " + value))
    assert got.one("Expect") in (b"100-continue", None)
    assert got.body == b"hello"


@pytest.mark.parametrize(
    "raw", [request(EXPECT), post(b"", EXPECT), post(b"hi", EXPECT).replace(b"1.1", b"1.0")]
)
def test_expectation_without_a_meaning_is_dropped(scene: Scene, raw: bytes) -> None:
    """Without a body to wait for, and in HTTP/1.0, it means nothing."""
    assert scene.forwards(raw).one("Expect") is None


@pytest.mark.parametrize(
    ("target", "status"), [(b"/denied", 403), (b"/small", 413), (b"/nowhere", 503)]
)
def test_nobody_is_told_to_continue_in_vain(scene: Scene, target: bytes, status: int) -> None:
    """What is decided without the body is decided before it is asked for."""
    with scene.client() as client:
        client.send(post(b"x" * 100, EXPECT, target=target)[:-100])
        answer = client.answer()
        assert (answer.status, answer.interims) == (status, [])
        assert answer.is_last
    assert scene.instance.requests == []


def test_body_that_never_comes_frees_the_instance(scene: Scene) -> None:
    """An instance isn't left waiting for a body on a connection that others could get."""
    scene.instance.answers_early(CONTINUE)
    with scene.client() as client:
        client.send(post(b"x" * 100, EXPECT, target=b"/hasty")[:-100])
        assert client.head().status == 100
        assert client.answer().code == "request_body_timeout"
        assert client.ends()
    got = scene.instance.request()
    wait_until(lambda: got.connection not in scene.instance.open_connections)
    assert not got.is_complete


# The instance answers


@pytest.mark.parametrize("is_chunked", [True, False])
def test_early_answer_of_an_instance_is_relayed(scene: Scene, is_chunked: bool) -> None:
    """An instance may answer before it has the body; then neither connection is used again."""
    scene.instance.answers_early(ok(b"enough", status=b"413 Too Much"))
    raw = post_chunks(b"hello") if is_chunked else post(b"hello")
    with scene.client() as client:
        answer = client.send(raw[:-3]).answer()
        assert (answer.status, answer.body) == (413, b"enough")
        assert answer.is_last
        assert client.ends()
    got = scene.instance.request()
    wait_until(lambda: got.connection not in scene.instance.open_connections)
    assert not got.is_complete


def test_early_answer_that_closes_is_relayed(scene: Scene) -> None:
    """An instance that answers and closes while it is sent to has answered."""
    scene.instance.answers_early(ok(b"enough", b"Connection: close"), CLOSE)
    with scene.client() as client:
        answer = client.send(post(b"x" * 1000)[:-1]).answer()
        assert (answer.status, answer.body) == (200, b"enough")


def test_rest_of_a_body_behind_an_early_answer_is_no_request(scene: Scene) -> None:
    """What a client goes on to send of its body is never read as a request."""
    scene.instance.answers_early(ok(b"enough"))
    with scene.client() as client:
        client.send(post(SMUGGLED * 100)[: -len(SMUGGLED) * 100])
        assert client.answer().body == b"enough"
        client.send(SMUGGLED * 100)
    assert b"/smuggled" not in [got.target for got in scene.instance.requests]
