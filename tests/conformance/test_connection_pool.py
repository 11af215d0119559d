"""Connections to an instance are used again, and never so that a request runs twice."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

import pytest

from tests.conformance.client import AnswerCutError, Client, post, post_chunks, request
from tests.conformance.instance import (
    CLOSE,
    HALF_CLOSE,
    RESET,
    RecordingInstance,
    Step,
    chunked,
    head,
    ok,
)
from tests.conformance.judge import Request, Stream
from tests.conformance.scene import Scene, staged
from tests.dataplane.processes import running_instance
from tests.dataplane.snapshots import instance, service
from tests.support.wait import wait_until

SETTINGS = {
    "upstream_max_connections": 4,
    "upstream_queue": 4,
    "upstream_queue_timeout": 2.0,
    "upstream_idle_timeout": 0.3,
    "upstream_max_idle": 2,
}
ENTITIES = [
    service(policies={"retry": {"attempts": 2}, "ejection": None}),  # it dies again and again
    instance("dead", address="http://127.0.0.1:1"),
]  # fmt: skip


@pytest.fixture
def warm(scene: Scene) -> Scene:
    """A scene with exactly one idle connection to its instance."""
    wait_until(lambda: scene.counter("upstream_connections_now") == 0)
    scene.forwards(request(target=b"/warm"))
    scene.instance.begin()
    return scene


def counted(scene: Scene, target: bytes) -> int:
    return [got.target for got in scene.instance.requests].count(target)


def test_connection_is_used_again(warm: Scene) -> None:
    """One after the other, requests of many clients share a connection."""
    for turn in range(20):
        raw = post(b"hello") if turn % 2 else request()
        assert warm.ask(raw).status == 200
    assert len({got.connection for got in warm.instance.requests}) == 1


def test_connection_that_has_been_idle_is_closed(warm: Scene) -> None:
    """What nobody uses is closed before the instance would close it."""
    wait_until(lambda: warm.counter("upstream_connections_now") == 0)
    wait_until(lambda: warm.instance.open_connections == set())


def test_idle_time_is_what_the_instance_says() -> None:
    """An instance that keeps a connection for a second only isn't asked over it later."""
    with staged(upstream_idle_timeout=60.0) as scene:
        scene.instance.answers(ok(b"x", b"Keep-Alive: timeout=1"))
        assert scene.ask(request()).all("Keep-Alive") == []
        wait_until(lambda: scene.counter("upstream_connections_now") == 0)
        scene.is_clean()


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x", b"Connection: close"),
        ok(b"x", b"Connection: x, Close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        head(b"Content-Length: 1", b"Connection: keep-alive, close") + b"x",
    ],
)
def test_connection_that_shall_close_is_not_used_again(warm: Scene, answer: bytes) -> None:
    """What the instance says of its connection is believed, closed or not."""
    warm.instance.answers(answer)
    assert warm.ask(request()).body == b"x"
    assert warm.ask(request()).status == 200
    assert len({got.connection for got in warm.instance.requests}) == 2


def test_connection_of_http_1_0_is_used_again_where_it_says_so(warm: Scene) -> None:
    """HTTP/1.0 with keep-alive keeps alive."""
    warm.instance.answers(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"
    )
    warm.ask(request())
    warm.ask(request())
    assert len({got.connection for got in warm.instance.requests}) == 1


# Connections that die


def ending(how: str, ended: threading.Event) -> Callable[[Stream], bool]:
    """A step that ends the connection, and says when it has."""

    def end(stream: Stream) -> bool:
        if how == RESET:
            linger = struct.pack("ii", 1, 0)
            stream.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif how == HALF_CLOSE:
            stream.connection.shutdown(socket.SHUT_WR)
        if how != HALF_CLOSE:
            stream.connection.close()
        ended.set()
        return how == HALF_CLOSE

    return end


@pytest.mark.parametrize("end", [CLOSE, RESET, HALF_CLOSE])
@pytest.mark.parametrize("raw", [request(), post(b"hello"), post_chunks(b"hello")])
def test_connection_that_died_idle_is_noticed_before_use(warm: Scene, end: str, raw: bytes) -> None:
    """An instance that closes after its answer costs no client anything, whoever is heard first."""
    for _ in range(10):
        goes_on, ended = threading.Event(), threading.Event()
        warm.instance.answers(ok(b"x"), goes_on, ending(end, ended))
        with warm.client() as client:
            assert client.send(raw).answer().status == 200
            with warm.gateway.frozen():
                # The next request is there first, and the end right behind it.
                client.send(raw)
                goes_on.set()
                ended.wait(10)
            assert client.answer().status == 200
    assert len(warm.instance.requests) == 20


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_request_that_may_run_twice_is_sent_once_more(warm: Scene, end: str, method: bytes) -> None:
    """A used connection that dies without a byte of an answer is replaced, unseen by the client."""
    warm.instance.answers(end)
    assert warm.ask(request(b"X: y", method=method), method).status == 200
    first, second = warm.instance.requests
    assert first.connection != second.connection
    assert (first.method, first.target) == (second.method, second.target)
    assert first.headers == second.headers


def test_request_is_sent_once_more_only_once(warm: Scene) -> None:
    """A second failure is an answer."""
    warm.instance.answers(CLOSE)
    warm.instance.answers(CLOSE)
    answer = warm.ask(request())
    assert (answer.status, answer.code) == (502, "no_response")
    assert len(warm.instance.requests) == 2


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize(
    "raw",
    [
        post(b"hello"),
        post(b""),
        post_chunks(b"hello"),
        request(method=b"PATCH"),
        request(method=b"POST"),
        post(b"hello").replace(b"POST", b"PUT"),
        post_chunks(b"hello").replace(b"POST", b"GET"),
    ],
)
def test_request_that_may_have_run_is_never_sent_again(warm: Scene, end: str, raw: bytes) -> None:
    """What isn't idempotent, or had a body, runs once or not at all."""
    warm.instance.answers(end)
    answer = warm.ask(raw)
    assert (answer.status, answer.code) == (502, "no_response")
    assert len(warm.instance.requests) == 1


@pytest.mark.parametrize(
    "beginning", [b"H", b"HTTP/1.1 200 OK\r\n", head(status=b"103 Early Hints")]
)
def test_request_that_was_being_answered_is_never_sent_again(warm: Scene, beginning: bytes) -> None:
    """A byte of an answer, interim or not, tells that the instance has begun."""
    warm.instance.answers(beginning, CLOSE)
    assert warm.ask(request()).status == 502
    assert len(warm.instance.requests) == 1


def test_new_connection_that_dies_is_not_replaced(scene: Scene) -> None:
    """An instance that hangs up on a fresh connection has said no."""
    wait_until(lambda: scene.counter("upstream_connections_now") == 0)
    scene.instance.answers(RESET)
    assert scene.ask(request()).status == 502
    assert len(scene.instance.requests) == 1


@pytest.mark.parametrize("raw", [request(), post(b"hello"), post_chunks(b"hello")])
def test_any_request_goes_elsewhere_when_nothing_was_sent(scene: Scene, raw: bytes) -> None:
    """A refused connection costs nothing: the request goes to another instance, whatever it is."""
    before = scene.counter("upstream_connects_failed")
    for turn in range(20):
        target = b"/once/%d" % turn
        assert scene.ask(raw.replace(b" / ", b" " + target + b" ")).status == 200
        assert counted(scene, target) == 1
    assert scene.counter("upstream_connects_failed") > before


# Connections of no further use


@pytest.mark.parametrize("answer", [ok(bytes(1 << 20)), chunked(*[bytes(65536)] * 16)])
def test_connection_of_an_aborted_answer_is_not_used_again(warm: Scene, answer: bytes) -> None:
    """What is left of an answer that nobody reads is nobody's, and the pool doesn't grow."""
    for turn in range(30):
        warm.instance.answers(answer)
        client = warm.client(receive_buffer=4096).send(request())
        client.head()
        client.reset()
        target = b"/%d" % turn
        assert warm.ask(request(target=target)).body == b"GET " + target
    assert warm.counter("upstream_connections_now") <= 4


def test_connection_with_bytes_left_is_not_used_again(warm: Scene) -> None:
    """Whatever lies on an idle connection unasked, such as a 408, ends it, whoever is heard first."""
    unasked = head(b"Content-Length: 0", b"Connection: close", status=b"408 Request Timeout")
    for turn in range(20):
        goes_on, said = threading.Event(), threading.Event()
        warm.instance.answers(ok(b"x"), goes_on, unasked, lambda _, said=said: said.set())
        target = b"/%d" % turn
        with warm.client() as client:
            assert client.send(request()).answer().status == 200
            with warm.gateway.frozen():
                client.send(post(b"", target=target))
                goes_on.set()
                said.wait(10)
            assert client.answer().body == b"POST " + target


def test_instance_that_speaks_first_answers_nobody_else(scene: Scene) -> None:
    """What comes before a request may pass for its answer, and for no other's."""
    wait_until(lambda: scene.counter("upstream_connections_now") == 0)
    scene.instance.greets(ok(b"POISON"))
    scene.ask(request(target=b"/greeted"))
    scene.instance.greets(b"")
    # Where the greeting passed for an answer, the answer proper comes unasked. A request that
    # left before that could not be told from the one that it answers, by nobody.
    wait_until(lambda: scene.counter("upstream_connections_now") == 0)
    for turn in range(10):
        target = b"/%d" % turn
        assert scene.ask(request(target=target)).body == b"GET " + target
    asked = scene.instance.requests
    assert {got.target for got in asked if got.connection in scene.instance.greeted} <= {
        b"/greeted"
    }


def test_broken_answer_leaves_no_connection(warm: Scene) -> None:
    """After garbage a connection is never used again."""
    warm.instance.answers(b"garbage\r\n\r\n")
    assert warm.ask(request()).status == 502
    assert warm.ask(request()).status == 200
    first, second = warm.instance.requests
    assert first.connection != second.connection


# Bounds


def held(goes_on: threading.Event) -> tuple[Step, ...]:
    return goes_on, ok(b"late")


def asking(scene: Scene, number: int, waiting: int = 0) -> list[Client]:
    """So many clients whose requests are under way, and then some that wait."""
    clients = []
    for turn in range(number + waiting):
        clients.append(scene.client().send(request(target=b"/asked/%d" % turn)))
        now = min(turn + 1, number)
        wait_until(lambda now=now: scene.counter("upstream_connections_now") >= now)
        queued = max(0, turn + 1 - number)
        wait_until(lambda queued=queued: scene.counter("upstream_queued_now") == queued)
    return clients


def test_connections_and_queue_are_bounded(scene: Scene) -> None:
    """Four at a time, four that wait, and the ninth is told to come again."""
    wait_until(lambda: scene.counter("upstream_connections_now") == 0)
    goes_on = threading.Event()
    scene.instance.responds(lambda _: held(goes_on))
    clients = asking(scene, 4, 4)
    answer = scene.ask(request(target=b"/ninth"))
    assert (answer.status, answer.code) == (503, "upstream_busy")
    assert answer.one("Retry-After") == b"1"
    assert len(scene.instance.open_connections) == 4
    goes_on.set()
    for client in clients:
        with client:
            assert client.answer().body == b"late"
    assert len({got.connection for got in scene.instance.requests}) == 4
    wait_until(lambda: scene.counter("upstream_connections_now") <= 2)


def test_instance_that_is_full_is_passed_over() -> None:
    """Where another one has room; who finds none is told to come again."""
    goes_on = threading.Event()
    other = RecordingInstance()
    turns = service(balancing="round_robin", policies={"retry": {"attempts": 1}, "ejection": None})
    with (
        running_instance(other.serve) as address,
        staged(
            *(turns, instance("other", address=address)),
            upstream_max_connections=1,
            upstream_queue=0,
        ) as scene,
    ):
        scene.instance.responds(lambda _: held(goes_on))
        # Whose turn comes first is random.
        clients = {target: scene.client().send(request(target=target)) for target in (b"/a", b"/b")}
        wait_until(lambda: len(scene.instance.requests) == 1)
        first = clients.pop(scene.instance.requests[0].target)
        (second,) = clients.values()
        assert second.answer().status == 200
        for turn in range(10):
            target = b"/%d" % turn
            assert scene.ask(post(b"hello", target=target)).body == b"POST " + target
        other.responds(lambda _: held(goes_on))
        third = scene.client().send(request())
        wait_until(lambda: len(other.requests) == 12)
        answer = scene.ask(request())
        assert (answer.status, answer.code) == (503, "upstream_busy")
        goes_on.set()
        for client in (first, third):
            assert client.answer().body == b"late"
        for client in (first, second, third):
            client.close()


def test_wait_for_a_connection_is_bounded(scene: Scene) -> None:
    """Who waits for too long is told so."""
    goes_on = threading.Event()
    scene.instance.responds(lambda _: held(goes_on))
    clients = asking(scene, 4, 1)
    answer = clients[4].answer()
    assert (answer.status, answer.code) == (503, "upstream_wait_timeout")
    assert answer.one("Retry-After") == b"1"
    goes_on.set()
    for client in clients:
        client.close()


def test_client_that_leaves_the_queue_leaves_it(scene: Scene) -> None:
    """The place of who is gone is the next one's, and his request is never sent."""
    goes_on = threading.Event()
    scene.instance.responds(lambda _: held(goes_on))
    clients = asking(scene, 4, 2)
    clients[4].reset()
    wait_until(lambda: scene.counter("upstream_queued_now") == 1)
    goes_on.set()
    assert clients[5].answer().body == b"late"
    for client in clients:
        client.close()
    assert counted(scene, b"/asked/4") == 0
    assert counted(scene, b"/asked/5") == 1


def test_answer_cut_in_the_middle_runs_nothing_twice(warm: Scene) -> None:
    """Once an answer has begun there is no second try."""
    warm.instance.answers(head(b"Content-Length: 5") + b"he", CLOSE)
    with warm.client() as client, pytest.raises(AnswerCutError):
        client.send(request()).answer()
    assert len(warm.instance.requests) == 1


def test_every_post_runs_once_or_fails(warm: Scene) -> None:
    """Whatever becomes of connections, nothing that succeeded ran twice, and nothing ran unseen."""
    turns = iter(range(1000))

    def moody(got: Request) -> tuple[Step, ...]:
        turn = next(turns)
        return ((CLOSE,), (RESET,), (ok(), CLOSE), (ok(), RESET), (ok(),))[turn % 5]

    warm.instance.responds(moody)
    served = set()
    for turn in range(100):
        target = b"/%d" % turn
        answer = warm.ask(post(b"hello", target=target))
        assert answer.status in (200, 502)
        if answer.status == 200:
            served.add(target)
    ran = [got.target for got in warm.instance.requests]
    assert len(ran) == len(set(ran))
    assert len(served) >= 40
    assert served <= set(ran)
