"""Nobody waits for ever: each wait has a deadline, and each deadline an answer."""

from __future__ import annotations

import threading

import pytest

from tests.conformance.client import AnswerCutError, Client, post, request
from tests.conformance.instance import Step, chunked, head, ok
from tests.conformance.judge import CutError
from tests.conformance.scene import Scene, staged
from tests.dataplane.processes import silent_address
from tests.dataplane.snapshots import Entity, instance, route, service
from tests.support.wait import wait_until

SETTINGS = {"header_deadline": 0.8, "keepalive_idle": 0.8}


def timed(name: str, **given: float) -> Entity:
    timeouts = {"connect": None, "first_byte": None, "idle": None, "total": None, **given}
    limits = {"max_request_body": None}
    return route(name, f"/{name}", policies={"timeouts": timeouts, "limits": limits})


ENTITIES = [
    timed("first-byte", first_byte=0.5),
    timed("idle", idle=1.0),
    timed("total", total=1.0),
    timed("patient", first_byte=20.0, idle=20.0),
]


def beat(seconds: float = 0.25) -> Step:
    """A step that takes a while: here it is time itself that is tested."""
    return lambda _: threading.Event().wait(seconds) or None


def read_chunks(client: Client) -> None:
    while client.chunk():
        pass


# Heads


def test_head_that_trickles_in_is_too_slow(scene: Scene) -> None:
    """The deadline of a head is absolute: each byte in time doesn't move it."""
    raw = request(b"X: " + b"y" * 10_000)
    with scene.client() as client:
        is_over = threading.Event()

        def trickle() -> None:
            for at in range(len(raw)):
                client.send(raw[at : at + 1])
                if is_over.wait(0.02):
                    return

        sender = threading.Thread(target=trickle, daemon=True)
        sender.start()
        answer = client.answer()
        is_over.set()
        sender.join(10)
        assert (answer.status, answer.code) == (408, "header_timeout")
        assert answer.is_last


@pytest.mark.parametrize("beginning", [b"G", b"GET / HTTP/1.1\r\n", request()[:-1]])
@pytest.mark.parametrize("is_second", [True, False])
def test_head_that_stops_is_too_slow(scene: Scene, beginning: bytes, is_second: bool) -> None:
    """Half a head is 408 on a new connection and on a used one."""
    with scene.client() as client:
        if is_second:
            assert client.send(request()).answer().status == 200
        answer = client.send(beginning).answer()
        assert (answer.status, answer.code) == (408, "header_timeout")
        assert answer.is_last
        assert client.ends()


def test_head_in_time_is_served(scene: Scene) -> None:
    """A head in pieces that comes before the deadline is a head."""
    raw = request(b"X: y")
    with scene.client() as client:
        client.send(raw[:10])
        threading.Event().wait(0.2)
        assert client.send(raw[10:]).answer().status == 200


@pytest.mark.parametrize("is_used", [True, False])
def test_connection_that_says_nothing_is_closed(scene: Scene, is_used: bool) -> None:
    """Who asks nothing gets no answer; between two requests, too."""
    with scene.client() as client:
        if is_used:
            client.send(request()).answer()
        assert client.ends()


def test_connection_within_its_idle_time_is_served(scene: Scene) -> None:
    """A pause between two requests is allowed."""
    with scene.client() as client:
        for _ in range(4):
            assert client.send(request()).answer().status == 200
            threading.Event().wait(0.3)


# Connecting


def test_instance_that_does_not_accept_is_a_timeout() -> None:
    """A connection that doesn't come to be is 504, within the time of its route."""
    with silent_address() as address:
        slow = service("slow"), instance("slow", service_id="slow", address=address)
        policies = {"timeouts": {"connect": 0.3, "first_byte": None, "idle": None, "total": None}}
        with staged(*slow, route("slow", "/slow", service_id="slow", policies=policies)) as scene:
            answer = scene.ask(post(b"hello", target=b"/slow"))
            assert (answer.status, answer.code) == (504, "connect_timeout")
            scene.is_clean()


# Waiting for an answer


@pytest.mark.parametrize(
    "raw", [request(target=b"/first-byte"), post(b"hi", target=b"/first-byte")]
)
def test_instance_that_does_not_answer_is_a_timeout(scene: Scene, raw: bytes) -> None:
    """No answer in time is 504, is not tried again, and the instance's connection is gone."""
    never = threading.Event()
    scene.instance.answers(never)
    answer = scene.ask(raw)
    assert (answer.status, answer.code) == (504, "first_byte_timeout")
    assert len(scene.instance.requests) == 1
    never.set()
    got = scene.instance.request()
    wait_until(lambda: got.connection not in scene.instance.open_connections)


def test_interim_answers_put_nothing_off(scene: Scene) -> None:
    """An instance that only says 102 again and again has not answered."""
    processing = head(status=b"102 Processing")
    scene.instance.answers(*([processing, beat(0.1)] * 30))
    with scene.client() as client:
        answer = client.send(request(target=b"/first-byte")).answer()
        assert (answer.status, answer.code) == (504, "first_byte_timeout")
        assert answer.interims


def test_answer_in_time_is_relayed(scene: Scene) -> None:
    """Before the timeout, nothing has timed out."""
    scene.instance.answers(beat(0.2), ok(b"late"))
    assert scene.ask(request(target=b"/first-byte")).body == b"late"


# Idle


@pytest.mark.parametrize(
    "beginning",
    [
        head(b"Content-Length: 10") + b"hello",
        head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n",
    ],
)
def test_answer_that_stops_is_cut(scene: Scene, beginning: bytes) -> None:
    """An answer that stands still for the idle timeout is broken off."""
    before = scene.failures("response_idle_timeout")
    never = threading.Event()
    scene.instance.answers(beginning, never)
    with scene.client() as client, pytest.raises(AnswerCutError):
        client.send(request(target=b"/idle")).answer()
    never.set()
    assert scene.failures("response_idle_timeout") == before + 1


def test_answer_that_moves_is_not_idle(scene: Scene) -> None:
    """A download of longer than the timeout goes on as long as something comes."""
    scene.instance.answers(
        head(b"Content-Length: 6"), *(step for _ in range(6) for step in (beat(), b"x"))
    )
    assert scene.ask(request(target=b"/idle")).body == b"xxxxxx"


def test_upload_that_stops_is_a_timeout(scene: Scene) -> None:
    """A client that stops in its body is 408, and the instance isn't kept."""
    with scene.client() as client:
        answer = client.send(post(b"hello", target=b"/idle")[:-1]).answer()
        assert (answer.status, answer.code) == (408, "request_body_timeout")
        assert answer.is_last
    got = scene.instance.request()
    wait_until(lambda: got.connection not in scene.instance.open_connections)
    assert not got.is_complete


def test_upload_that_moves_is_not_idle(scene: Scene) -> None:
    """An upload of longer than the timeout goes on as long as something comes."""
    raw = post(b"x" * 6, target=b"/idle")
    with scene.client() as client:
        client.send(raw[:-6])
        for _ in range(6):
            threading.Event().wait(0.25)
            client.send(b"x")
        assert client.answer().status == 200
    assert scene.instance.whole_request().body == b"x" * 6


def test_client_that_stops_reading_is_cut(scene: Scene) -> None:
    """A reader who takes nothing for the idle timeout loses his answer, and his instance is freed."""
    before = scene.failures("response_send_timeout")
    scene.instance.answers(chunked(*[bytes(65536)] * 512))
    with scene.client(receive_buffer=4096) as client:
        client.send(request(target=b"/idle"))
        client.head()
        wait_until(lambda: scene.failures("response_send_timeout") == before + 1)
        with pytest.raises(CutError):
            read_chunks(client)


def test_instance_that_stops_reading_is_a_timeout(scene: Scene) -> None:
    """An instance that takes nothing for the idle timeout is 504."""
    never = threading.Event()
    scene.instance.answers_early(never)
    with scene.client() as client:
        raw = post(bytes(64 << 20), target=b"/idle")
        sender = threading.Thread(target=client.send, args=(raw,), daemon=True)
        sender.start()
        answer = client.answer()
        assert (answer.status, answer.code) == (504, "request_send_timeout")
        never.set()
        sender.join(20)


# In all


def test_exchange_that_takes_too_long_is_a_timeout(scene: Scene) -> None:
    """The total timeout holds whatever the others say."""
    never = threading.Event()
    scene.instance.answers(never)
    answer = scene.ask(request(target=b"/total"))
    assert (answer.status, answer.code) == (504, "total_timeout")
    never.set()


def test_answer_that_takes_too_long_is_cut(scene: Scene) -> None:
    """An answer that moves all the time ends with the total timeout, not cleanly."""
    scene.instance.answers(head(b"Transfer-Encoding: chunked"), *([b"1\r\nx\r\n", beat(0.1)] * 40))
    with scene.client() as client, pytest.raises(AnswerCutError):
        client.send(request(target=b"/total")).answer()


def test_exchange_without_a_total_may_take_its_time(scene: Scene) -> None:
    """Where nothing is said, there is no total."""
    scene.instance.answers(beat(1.5), ok(b"late"))
    assert scene.ask(request(target=b"/patient")).body == b"late"
