"""Answers reach the client as they are, or as a failure that it can't take for an answer."""

from __future__ import annotations

import threading

import pytest

from tests.conformance.client import AnswerCutError, post, request
from tests.conformance.instance import CLOSE, HALF_CLOSE, RESET, chunked, head, ok
from tests.conformance.scene import Scene

POISON = ok(b"POISON", b"X-Poison: yes")


def fails(scene: Scene, code: str) -> None:
    """Ask, and check that the client gets a 502 of this code and nothing of the instance's."""
    with scene.client() as client:
        answer = client.send(request()).answer()
        assert (answer.status, answer.code) == (502, code), answer
        assert answer.all("X-Poison") == []
        assert client.send(request(target=b"/same")).answer().body == b"GET /same"


def is_cut(scene: Scene) -> None:
    """Ask, and check that whatever begins has no clean end."""
    with scene.client() as client, pytest.raises(AnswerCutError):
        client.send(request()).answer()


# Status


@pytest.mark.parametrize(
    "status", [200, 201, 206, 226, 234, 299, 304, 400, 404, 418, 429, 499, 500, 502, 503, 511, 599]
)
def test_status_passes_as_it_is(scene: Scene, status: int) -> None:
    """Odd codes and failures of the instance's own are its answer."""
    scene.instance.answers(ok(b"", status=b"%d Its Own Words" % status))
    answer = scene.ask(request())
    assert (answer.status, answer.reason) == (status, b"Its Own Words")
    assert answer.one("X-Gateway-Error") is None


@pytest.mark.parametrize("reason", [b"", b"\xe4\xb8\xad", b"I'm a (teapot)", b"a  b"])
def test_reason_passes_as_it_is(scene: Scene, reason: bytes) -> None:
    """A reason phrase is text for people, and kept."""
    scene.instance.answers(ok(b"", status=b"200 " + reason))
    assert scene.ask(request()).reason == reason


# Framing


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("line", [b"X: y", b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_answer_that_has_no_body_has_none(scene: Scene, status: bytes, line: bytes) -> None:
    """204 and 304 end with their head, whatever they say; the next answer is the next one's."""
    scene.instance.answers(head(line, status=status))
    with scene.client() as client:
        answer = client.send(request()).answer()
        assert answer.one("Transfer-Encoding") is None
        if answer.status == 204:
            assert answer.one("Content-Length") is None
        assert client.send(request(target=b"/next")).answer().body == b"GET /next"


@pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"])
def test_answer_to_head_has_no_body(scene: Scene, line: bytes) -> None:
    """An answer to HEAD says how long its body would be, and ends with its head."""
    scene.instance.answers(head(line))
    with scene.client() as client:
        answer = client.send(request(method=b"HEAD")).answer(b"HEAD")
        assert answer.one("Content-Length") == (b"5" if line.startswith(b"Content") else None)
        assert client.send(request(target=b"/next")).answer().body == b"GET /next"


@pytest.mark.parametrize("length", [2**31, 2**32, 2**53, 10**18 - 1])
def test_length_of_an_answer_does_not_wrap(scene: Scene, length: int) -> None:
    """What is far from complete is cut, and what only says so is passed on."""
    line = b"Content-Length: %d" % length
    scene.instance.answers(head(line) + b"x", CLOSE)
    with scene.client() as client:
        assert client.send(request()).head().one("Content-Length") == b"%d" % length
        assert client.data(1) == b"x"
        assert client.ends()
    scene.instance.answers(head(line))
    answer = scene.ask(request(method=b"HEAD"), b"HEAD")
    assert answer.one("Content-Length") == b"%d" % length


@pytest.mark.parametrize(
    "lines",
    [
        *((b"Content-Length: 5", b"Transfer-Encoding: chunked"), (b"Content-Length: 5",) * 2),
        *((b"Transfer-Encoding: chunked", b"Content-Length: 5"), (b"Content-Length: 5, 5",)),
        *((b"Transfer-Encoding: chunked",) * 2, (b"Transfer-Encoding: gzip, chunked",)),
        *((b"Transfer-Encoding: xchunked",), (b"Transfer-Encoding: identity",)),
        *((b"Transfer-Encoding: chunked, chunked",), (b"Transfer-Encoding:",)),
        *((b"Content-Length: +5",), (b"Content-Length: -5",), (b"Content-Length: 0x5",)),
        *((b"Content-Length:",), (b"Content-Length: 5_0",), (b"Content-Length: " + b"9" * 30,)),
    ],
)
def test_answer_with_ambiguous_framing_fails(scene: Scene, lines: tuple[bytes, ...]) -> None:
    """Two framings, or one that nobody knows, are 502 and the end of the connection."""
    scene.instance.answers(head(*lines, b"X-Poison: y") + b"5\r\nhello\r\n0\r\n\r\n")
    fails(scene, "malformed_response")


@pytest.mark.parametrize(
    "answer",
    [
        *(b"garbage", b"hello\r\n\r\n", b"<html>HTTP/0.9</html>\r\n\r\n", b"\r\n\r\n", b"\0" * 64),
        *(b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.2 200 OK\r\n\r\n", b"HTTP/0.9 200 OK\r\n\r\n"),
        *(b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n"),
        *(b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 -20 OK\r\n\r\n", b"http/1.1 200 OK\r\n\r\n"),
        *(b"HTTP/1.1  200 OK\r\n\r\n", b"HTTP/1.1 200 O\0K\r\n\r\n", b"HTTP/1.1 200 O\rK\r\n\r\n"),
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        *(head(b"Content-Length: 0", line) for line in (
            b": x", b"X Y: z", b" X: y", b"X : y", b"X", b"X: a\0b", b"X: a\rb", b"X: a\nb",
            b"X: a\x01b", b"X: a\x7fb", b"X: y\r\n folded", b"X\xc3\xa9: y", b"X(: y",
        )),
    ],
)  # fmt: skip
def test_answer_that_is_not_http_fails(scene: Scene, answer: bytes) -> None:
    """What an instance says in another language is 502, and nothing of it is passed on."""
    scene.instance.answers(answer, CLOSE)
    fails(scene, "malformed_response")


def test_folded_line_of_an_answer_is_never_relayed(scene: Scene) -> None:
    """An answer with a folded header doesn't pass."""
    scene.instance.answers(ok(b"", b"X-Poison: a", b"\tb"))
    fails(scene, "malformed_response")


def test_answer_is_chunked_anew(scene: Scene) -> None:
    """Chunk extensions and sizes in other spellings don't pass; what they hold does."""
    scene.instance.answers(
        head(b"Transfer-Encoding: Chunked")
        + b"005;a=b\r\nhello\r\n0A ; x\r\n0123456789\r\n00;z\r\n\r\n"
    )
    answer = scene.ask(request())
    assert answer.is_chunked
    assert answer.body == b"hello0123456789"


@pytest.mark.parametrize(
    "chunk", [b"0x5\r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhelloX", b"-1\r\n", b"\r\n"]
)
def test_broken_chunk_before_the_answer_has_left_fails(scene: Scene, chunk: bytes) -> None:
    """As long as the client has nothing, it can be told."""
    scene.instance.answers(head(b"Transfer-Encoding: chunked", b"X-Poison: y") + chunk)
    fails(scene, "malformed_response_body")


@pytest.mark.parametrize(
    "chunk", [b"0x5\r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhelloX", b"-1\r\n", b"\r\n"]
)
def test_broken_chunk_later_cuts_the_answer(scene: Scene, chunk: bytes) -> None:
    """Once the client has a part, the connection is broken off: no clean end, no second status."""
    goes_on = threading.Event()
    scene.instance.answers(head(b"Transfer-Encoding: chunked") + b"2\r\nhi\r\n", goes_on, chunk)
    with scene.client() as client:
        client.send(request())
        client.head()
        assert client.chunk() == b"hi"
        goes_on.set()
        assert client.ends()


@pytest.mark.parametrize(
    "answer",
    [
        head(b"Content-Length: 10") + b"hello",
        head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n",
        head(b"Transfer-Encoding: chunked") + b"5\r\nhel",
        head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n",
    ],
)
@pytest.mark.parametrize("end", [CLOSE, RESET, HALF_CLOSE])
def test_answer_that_ends_early_is_cut(scene: Scene, answer: bytes, end: str) -> None:
    """A part of an answer never looks like the whole."""
    scene.instance.answers(answer, end)
    is_cut(scene)


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_instance_that_says_nothing_fails(scene: Scene, end: str) -> None:
    """No answer is 502."""
    scene.instance.answers(end)
    answer = scene.ask(post(b"hello"))
    assert (answer.status, answer.code) == (502, "no_response")


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_head_that_ends_early_fails(scene: Scene, end: str) -> None:
    """Half a head is 502."""
    scene.instance.answers(b"HTTP/1.1 200 OK\r\nX-Poison: y", end)
    fails(scene, "malformed_response")


def test_answer_of_unknown_length_ends_with_its_connection(scene: Scene) -> None:
    """It is chunked for a client that knows chunks, and complete."""
    scene.instance.answers(head(), b"hello ", b"world", CLOSE)
    with scene.client() as client:
        answer = client.send(request()).answer()
        assert (answer.body, answer.is_chunked) == (b"hello world", True)
        assert client.send(request(target=b"/next")).answer().body == b"GET /next"


def test_answer_of_unknown_length_that_is_reset_is_cut(scene: Scene) -> None:
    """A reset is no end."""
    sent = threading.Event()
    scene.instance.answers(head() + b"hello", sent, RESET)
    with scene.client() as client:
        client.send(request())
        client.head()
        assert client.chunk() == b"hello"
        sent.set()
        assert client.ends()


def test_client_of_http_1_0_gets_no_chunks(scene: Scene) -> None:
    """For a client that knows no chunks, the end of the connection is the end of the answer."""
    scene.instance.answers(chunked(b"hello ", b"world"))
    with scene.client() as client:
        answer = client.send(request(b"Connection: keep-alive", version=b"HTTP/1.0")).answer()
        assert (answer.body, answer.is_chunked, answer.is_last) == (b"hello world", False, True)


def test_answer_that_is_cut_is_no_clean_end_for_http_1_0(scene: Scene) -> None:
    """Where only the end of the connection tells, a cut is a reset."""
    goes_on = threading.Event()
    scene.instance.answers(head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n", goes_on, CLOSE)
    with scene.client() as client:
        client.send(request(version=b"HTTP/1.0"))
        client.head()
        assert client.data(5) == b"hello"
        goes_on.set()
        with pytest.raises(ConnectionResetError):
            client.socket.recv(1)


def test_answer_of_http_1_0_is_relayed_in_http_1_1(scene: Scene) -> None:
    """The version is each connection's own."""
    scene.instance.answers(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert scene.ask(request()).body == b"hello"


def test_closing_instance_closes_no_client(scene: Scene) -> None:
    """Connection: close is the instance's connection's."""
    scene.instance.answers(ok(b"hello", b"Connection: close"), CLOSE)
    with scene.client() as client:
        assert not client.send(request()).answer().is_last
        assert client.send(request(target=b"/next")).answer().body == b"GET /next"


def test_answer_is_dated_once(scene: Scene) -> None:
    """An instance's date is kept; without one the gateway's is added."""
    scene.instance.answers(ok(b"", b"Date: Tue, 15 Nov 1994 08:12:31 GMT"))
    assert scene.ask(request()).one("Date") == b"Tue, 15 Nov 1994 08:12:31 GMT"
    assert scene.ask(request()).one("Date")


# More than one answer


MANY = pytest.mark.parametrize("turns", [100, pytest.param(1000, marks=pytest.mark.slow)])


@MANY
def test_second_answer_in_one_piece_reaches_nobody(scene: Scene, turns: int) -> None:
    """An instance that answers twice at once is 502, and its connection is discarded."""
    for turn in range(turns):
        scene.instance.answers(ok(b"first") + POISON)
        with scene.client() as client:
            answer = client.send(request()).answer()
            assert answer.status == 502
            assert answer.code == "response_too_long"
            assert client.send(request(target=b"/%d" % turn)).answer().body == b"GET /%d" % turn


@MANY
def test_second_answer_later_reaches_nobody(scene: Scene, turns: int) -> None:
    """An answer that nobody asked for, and that is there before the next request, is nobody's."""
    for turn in range(turns):
        said = threading.Event()
        scene.instance.answers(ok(b"first"), POISON, lambda _, said=said: said.set())
        with scene.client() as client:
            answer = client.send(request()).answer()
            assert answer.body == b"first" or answer.code == "response_too_long"
            said.wait(10)
            answer = client.send(request(target=b"/%d" % turn)).answer()
            assert answer.body == b"GET /%d" % turn, answer


@pytest.mark.parametrize("extra", [b"X", b"\r\n", b"HTTP/1.1 ", b"0\r\n\r\n"])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_bytes_after_an_answer_end_the_connection(
    scene: Scene, extra: bytes, is_chunked: bool
) -> None:
    """An answer longer than it says is 502 where the client has nothing yet."""
    whole = chunked(b"hello") if is_chunked else ok(b"hello")
    scene.instance.answers(whole + extra)
    with scene.client() as client:
        first = client.send(request()).answer()
        assert first.status == 502
        assert first.code == "response_too_long"
    with scene.client() as client:
        assert client.send(request(target=b"/next")).answer().body == b"GET /next"
    connections = {got.connection for got in scene.instance.requests}
    assert len(connections) == 2


def test_answer_before_the_request_is_complete_and_another_after_it(scene: Scene) -> None:
    """Of an instance that answers before and after, the second is nobody's."""
    scene.instance.answers_early(ok(b"early"), lambda stream: None)
    with scene.client() as client:
        client.send(post(b"hello" * 10_000))
        assert client.answer().body == b"early"
    scene.serves_others()


def test_body_of_an_answer_to_head_reaches_nobody(scene: Scene) -> None:
    """A body where there must be none is not taken for the next answer."""
    for turn in range(20):
        scene.instance.answers(ok(POISON))
        with scene.client() as client:
            client.send(request(method=b"HEAD")).answer(b"HEAD")
        answer = scene.ask(request(target=b"/%d" % turn))
        assert answer.body == b"GET /%d" % turn


# Interim answers


def test_early_hints_are_relayed_and_leave_nothing_behind(scene: Scene) -> None:
    """103 passes, and its headers are not those of the answer."""
    hints = head(b"Link: </x>; rel=preload", b"X-Hint: y", status=b"103 Early Hints")
    scene.instance.answers(hints, hints, ok(b"hello"))
    answer = scene.ask(request())
    assert [one.status for one in answer.interims] == [103, 103]
    assert answer.interims[0].one("Link") == b"</x>; rel=preload"
    assert (answer.body, answer.all("Link"), answer.all("X-Hint")) == (b"hello", [], [])


def test_hop_by_hop_headers_of_hints_are_dropped(scene: Scene) -> None:
    """Interim answers are cleaned like others."""
    lines = (b"Connection: x-hop", b"X-Hop: 1", b"Keep-Alive: x", b"Link: </x>")
    scene.instance.answers(head(*lines, status=b"103 Early Hints"), ok())
    answer = scene.ask(request())
    assert [name for name, _ in answer.interims[0].headers] == [b"Link"]


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints", b"101 Switching"])
def test_interim_answer_of_http_1_0_fails(scene: Scene, status: bytes) -> None:
    """HTTP/1.0 has none: whoever says so speaks another language."""
    lines = (b"Upgrade: websocket", b"Connection: Upgrade")
    interim = head(*lines, status=status).replace(b"1.1", b"1.0", 1)
    scene.instance.answers(interim + ok(b"hello"))
    answer = scene.ask(request(*lines, b"Expect: 100-continue"))
    assert (answer.status, answer.code) == (502, "malformed_response")
    assert answer.interims == []


def test_client_of_http_1_0_gets_no_interim_answer(scene: Scene) -> None:
    """HTTP/1.0 would take it for the answer."""
    scene.instance.answers(head(status=b"103 Early Hints"), ok(b"hello"))
    answer = scene.ask(request(version=b"HTTP/1.0"))
    assert (answer.status, answer.interims) == (200, [])


def test_continue_that_nobody_expects_is_dropped(scene: Scene) -> None:
    """100 is for those who asked to wait for it."""
    scene.instance.answers(head(status=b"100 Continue"), ok(b"hello"))
    assert scene.ask(request()).interims == []


def test_flood_of_interim_answers_fails(scene: Scene) -> None:
    """An instance that never comes to its answer is 502."""
    scene.instance.answers(head(status=b"102 Processing") * 1000)
    with scene.client() as client:
        client.send(request())
        answer = client.answer()
        assert (answer.status, answer.code) == (502, "malformed_response")
        assert len(answer.interims) <= 32


# At once


@pytest.mark.parametrize(
    "kind", [b"text/event-stream", b"text/event-stream; charset=utf-8", b"text/plain"]
)
@pytest.mark.parametrize("is_chunked", [True, False])
def test_events_are_flushed_as_they_come(scene: Scene, kind: bytes, is_chunked: bool) -> None:
    """Each piece of an answer without a length is with the client before the next is sent."""
    turns = [threading.Event() for _ in range(4)]
    lines = [b"Content-Type: " + kind] + [b"Transfer-Encoding: chunked"] * is_chunked
    event = b"data: x\n\n"
    piece = b"9\r\n" + event + b"\r\n" if is_chunked else event
    steps = [step for turn in turns[1:] for step in (turn, piece)]
    end = b"0\r\n\r\n" if is_chunked else b""
    scene.instance.answers(head(*lines), turns[0], piece, *steps, end, CLOSE)
    with scene.client() as client:
        client.send(request())
        assert client.head().one("Content-Type") == kind
        for turn in turns:
            turn.set()
            assert client.chunk() == event
        assert client.chunk() == b""


def test_head_is_flushed_before_the_body(scene: Scene) -> None:
    """A client has the head as soon as the instance has sent it."""
    goes_on = threading.Event()
    scene.instance.answers(head(b"Content-Length: 5"), goes_on, b"hello")
    with scene.client() as client:
        client.send(request())
        assert client.head().status == 200
        goes_on.set()
        assert client.data(5) == b"hello"
