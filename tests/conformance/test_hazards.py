"""Whatever comes, the process lives on: no traceback, no leak, the next connection fine."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from random import Random

import pytest

from tests.conformance.client import AnswerCutError, Client, post, request
from tests.conformance.instance import CLOSE, HALF_CLOSE, RESET, chunked, head
from tests.conformance.judge import CutError
from tests.conformance.mutations import mutant, mutated_answer
from tests.conformance.reading import readings
from tests.conformance.scene import Scene
from tests.conformance.ways import segments
from tests.support.wait import wait_until

UPGRADE = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")
SETTINGS = {"header_deadline": 60.0, "keepalive_requests": 1_000_000, "max_connections": 5000}


@pytest.fixture
def steady(scene: Scene) -> Scene:
    """A scene that has all the connections and memory it needs."""
    for _ in range(50):
        scene.serves_others()
    wait_until(lambda: scene.counter("connections_now") == 0)
    scene.instance.begin()
    return scene


def exchange(scene: Scene, raw: bytes) -> None:
    """Send this and end; take whatever comes."""
    with scene.client() as client:
        try:
            client.send(raw).half_close()
            while True:
                client.answer(raw.split(b" ", 1)[0])
        except (AnswerCutError, OSError):
            pass


def forwards_what_there_is(scene: Scene, raw: bytes, turn: int) -> None:
    """Send this; of the requests in it, each is forwarded as it is or not at all, and nothing else."""
    # What another connection has left may still be on its way; as long as the host, no length changes.
    host = b"%07d.com" % turn
    raw = raw.replace(b"example.com", host)
    exchange(scene, raw)
    there = readings(raw)
    for got in [one for one in list(scene.instance.requests) if one.one("Host") == host]:
        while there and (got.method, got.target) != there[0][:2]:
            there.pop(0)
        assert there, (raw, got)
        body = there.pop(0).body
        assert not got.is_complete or got.body == body, (raw, got)


@pytest.mark.parametrize("seed", range(2))
def test_what_is_forwarded_is_what_a_reading_by_the_letter_finds(steady: Scene, seed: int) -> None:
    """No request is made of a part of another, of two, or of nothing."""
    rng = Random(seed)
    for turn in range(2000):
        forwards_what_there_is(steady, mutant(rng), turn)


@pytest.mark.parametrize("seed", range(8))
def test_mutated_requests_are_forwarded_in_canonical_form_or_not_at_all(
    steady: Scene, seed: int
) -> None:
    """Of requests that are nearly right, the instance gets nothing with a second reading."""
    rng = Random(seed)
    for _ in range(1000):
        exchange(steady, mutant(rng))
    steady.serves_others()
    assert not steady.instance.unsafe, steady.instance.unsafe


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_hundred_thousand_mutated_requests_leave_nothing(steady: Scene) -> None:
    """The same with many, and neither memory nor descriptors grow."""
    rng = Random(2026)
    for _ in range(10_000):
        exchange(steady, mutant(rng))
    before = steady.gateway.ask()
    for turn in range(90_000):
        forwards_what_there_is(steady, mutant(rng), turn)
        if turn % 1000 == 0:
            assert not steady.instance.unsafe, steady.instance.unsafe
            steady.instance.begin()
    wait_until(lambda: steady.counter("connections_now") == 0)
    after = steady.gateway.ask()
    assert after["rss"] <= before["rss"] * 1.1
    assert after["descriptors"] <= before["descriptors"] + 8


def test_noise_is_refused(steady: Scene) -> None:
    """Bytes of no protocol at all are 400 or an end."""
    for seed in range(100):
        noise = Random(seed).randbytes(300) + b"\r\n\r\n"
        with steady.client() as client:
            try:
                assert client.send(noise).answer().status in (400, 408, 414, 431, 501)
            except AnswerCutError:
                pass
    assert steady.instance.requests == []


def test_clients_that_leave_cost_one_connection_each(steady: Scene) -> None:
    """Clients that reset in every phase leave no descriptor, no exchange and no line of traceback."""
    before = steady.gateway.ask()["descriptors"]
    lines = len(steady.gateway.logged)
    raws = (
        *(b"G", request()[:-4], request(), request() * 5, post(b"x" * 100)[:-50]),
        *(post(b"x" * 1000), request(target=b"//")),
    )
    steady.instance.responds(lambda _: (chunked(*[bytes(10_000)] * 10),))
    for turn in range(700):
        client = steady.client().send(raws[turn % len(raws)])
        if turn % 3 == 0:
            try:
                client.socket.settimeout(0.01)
                client.head()
            except (OSError, AnswerCutError):
                pass
        client.reset()
    wait_until(lambda: steady.counter("connections_now") == 0)
    wait_until(lambda: steady.counter("in_flight_now") == 0)
    wait_until(lambda: steady.counter("upstream_connections_now") <= 64)
    wait_until(lambda: steady.gateway.ask()["descriptors"] <= before + 64)
    assert len(steady.gateway.logged) - lines <= 700
    assert "Traceback" not in "".join(steady.gateway.logged)


def test_beginnings_hold_little_memory(steady: Scene) -> None:
    """Ten kilobytes of a head that doesn't end cost about as much, and far less than a hundredfold."""
    before = steady.gateway.ask()["rss"]
    beginning = request(b"X: " + b"y" * 8000, b"Z: " + b"y" * 2000)[:-4]
    clients = [steady.client().send(beginning) for _ in range(200)]
    wait_until(lambda: steady.counter("connections_now") == 200)
    wait_until(lambda: steady.counter("bytes_received") >= 200 * len(beginning))
    grown = steady.gateway.ask()["rss"] - before
    for client in clients:
        client.close()
    assert grown <= 200 * 64 * 1024


COSTLY = [
    request(*[b"X%d: y" % number for number in range(100)]),
    request(b"Cookie: " + b"; ".join(b"c%d=1" % number for number in range(900))),
    request(target=b"/" + b"a/" * 4000),
    request(target=b"/" + b"%61" * 2700),
    request(target=b"/?" + b"&" * 8000),
    request(b"Connection: " + b"," * 8000),
    b"\r\n" * 8000,
    b"\r\n" * 8000 + request(),
    request() * 200,
    post(b"")[:-4] + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 4000,
    request(
        b"Transfer-Encoding: chunked", method=b"POST", body=b"1\r\nx\r\n" * 8000 + b"0\r\n\r\n"
    ),
    request(b"Transfer-Encoding: chunked", method=b"POST", body=b"0" * 20_000),
]


@pytest.mark.parametrize("raw", COSTLY)
def test_costly_requests_cost_little(steady: Scene, raw: bytes) -> None:
    """What is made to be expensive keeps the gateway busy for far less than a tenth of a second."""
    before = steady.gateway.ask()["cpu"]
    for _ in range(10):
        exchange(steady, raw)
    spent = steady.gateway.ask()["cpu"] - before
    requests = max(1, raw.count(b"Host:")) * 10
    assert spent / requests <= 0.1, spent


MALFORMED = [
    request()[:-2] + b"X: " + b"y" * 10_000,
    request()[:-2] + b"X : y\r\n" * 1200 + b"\r\n",
    request()[:-2] + b" folded\r\n" * 1000 + b"\r\n",
    request(b"Content-Length: 1", b"Content-Length: 2", b"X: " + b"y" * 8000),
    request(*[b"Host: example.com"] * 90, b"X: " + b"y" * 8000),
    request(target=b"/" + b"../" * 2600),
    request(target=b"/" + b"%2e%2e%2f" * 900),
    request(target=b"/" + b"%" * 8000),
    request(target=b"/" + b"\xff" * 8000),
    request(b"Transfer-Encoding: " + b"chunked," * 1000),
    request(b"Connection: " + b"a," * 4000),
    request(b"X-Forwarded-For: " + b"1," * 4000),
    post(b"")[:-4] + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1600,
    request(b"Transfer-Encoding: chunked", method=b"POST", body=b"1;" + b"a" * 10_000),
    request(b"Transfer-Encoding: chunked", method=b"POST", body=b"1\r\nx\r\n" * 1600 + b"g\r\n"),
    request(b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n" + b"X: y\r\n" * 1600),
    b"\0" * 10_000,
    b"\r" * 10_000,
    b"\n" * 10_000,
    b"\x16\x03\x01\x02\x00" * 2000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 10_000,
    request()[:-4] + b"\r\n\r\n" * 2500,
]


def rough_client_cpu(raw: bytes, port: int, turns: int) -> float:
    """Send this so many times with as little as a client can do; return the CPU that it took."""
    began = time.thread_time()
    for _ in range(turns):
        with socket.socket() as client:
            client.connect(("127.0.0.1", port))
            try:
                client.sendall(raw)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)
            except ConnectionError:
                pass
    return time.thread_time() - began


@pytest.mark.parametrize("raw", [*COSTLY, *MALFORMED])
def test_no_payload_costs_a_hundredfold(steady: Scene, raw: bytes) -> None:
    """Of CPU, the gateway spends less than 100 times what the client does; of time, nobody waits."""
    turns = 30
    before = steady.gateway.ask()["cpu"]
    client = rough_client_cpu(raw, steady.gateway.port, turns)
    wait_until(lambda: steady.counter("connections_now") == 0)
    spent = steady.gateway.ask()["cpu"] - before
    # Of pipelined requests, each is one that the instance answers, too.
    assert spent <= 100 * client * max(1, raw.count(b"Host:")), (spent, client)


def test_no_payload_holds_a_hundredfold(steady: Scene) -> None:
    """Whatever is sent, and left unfinished: far less than a megabyte is held for each 10 kB."""
    for raw in MALFORMED:
        steady.client().send(raw).close()
    wait_until(lambda: steady.counter("connections_now") == 0)
    before = steady.gateway.ask()["peak_rss"]
    clients = [steady.client().send(raw) for raw in MALFORMED for _ in range(10)]
    wait_until(lambda: steady.when_still("bytes_received", 1))
    grown = steady.gateway.ask()["peak_rss"] - before
    for client in clients:
        client.close()
    assert grown <= len(clients) * 100_000, grown / len(clients)


def test_ten_thousand_clients_that_leave_leave_no_line(steady: Scene) -> None:
    """A flood of resets, in every phase of a request, writes no traceback and floods no log."""
    lines = len(steady.gateway.logged)
    before = steady.gateway.ask()["descriptors"]
    raws = (b"", b"G", request()[:-4], request(), post(b"x" * 100)[:-50], b"\0\r\n\r\n")
    began = time.monotonic()
    for turn in range(10_000):
        steady.client().send(raws[turn % len(raws)]).reset()
    wait_until(lambda: steady.counter("connections_now") == 0, timeout=60)
    seconds = time.monotonic() - began
    wait_until(lambda: steady.counter("in_flight_now") == 0)
    wait_until(lambda: steady.gateway.ask()["descriptors"] <= before + 64)
    written = steady.gateway.logged[lines:]
    assert "Traceback" not in "".join(written)
    assert len(written) <= 100 * seconds


def test_fast_instance_and_slow_client_resume_after_each_stall(steady: Scene) -> None:
    """An answer that stalls again and again arrives byte for byte."""
    block = Random(1).randbytes(1 << 20)
    length = head(b"Content-Length: %d" % (8 * len(block)))
    steady.instance.answers(length, *[block] * 8)
    with steady.client(receive_buffer=4096) as client:
        client.send(request())
        client.head()
        for _ in range(8):
            threading.Event().wait(0.05)
            assert client.data(len(block)) == block


def test_answers_that_nobody_reads_are_given_up_with_their_clients(steady: Scene) -> None:
    """Clients that vanish in the middle of long answers leave the pool as it was."""
    before = steady.gateway.ask()["descriptors"]
    steady.instance.responds(lambda _: (head(b"Content-Length: 10000000"), *[bytes(100_000)] * 100))
    clients: list[Client] = [steady.client(receive_buffer=4096).send(request()) for _ in range(100)]
    for client in clients:
        client.head()
        client.reset()
    wait_until(lambda: steady.counter("in_flight_now") == 0)
    wait_until(lambda: steady.counter("upstream_connections_now") <= 1)
    wait_until(lambda: steady.gateway.ask()["descriptors"] <= before + 8)


@pytest.mark.parametrize("number", [500, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(1200)
def test_malformed_answers_leave_nothing(steady: Scene, number: int) -> None:
    """Answers that are nearly right cost their own clients only."""
    rng = Random(number)
    for _ in range(number):
        end = rng.choice((CLOSE, RESET, HALF_CLOSE))
        steady.instance.answers(*segments(rng, mutated_answer(rng)), end)
        lines = UPGRADE if rng.random() < 0.3 else ()
        with steady.client() as client:
            try:
                client.send(request(*lines))
                judge_answer(client)
            except (AnswerCutError, CutError, ConnectionError):
                pass
    steady.serves_others()


def judge_answer(client: Client) -> None:
    """Take an answer that is well-formed as far as it goes; say something where it is a tunnel."""
    answer = client.head()
    while answer.status < 200 and answer.status != 101:
        answer = client.head()
    if answer.status == 101:
        with contextlib.suppress(OSError):  # it may have ended already
            client.send(b"words").half_close()
        client.rest()
    else:
        client.body(answer)


def test_two_thousand_clients_at_once_find_room(steady: Scene) -> None:
    """Clients that come in one moment are connected although nobody accepts, and served afterwards."""
    # Half the descriptors are enough: here are both ends of half the connections.
    number = min(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
    with steady.gateway.frozen():
        clients = [steady.client() for _ in range(number)]
    for client in clients:
        with client:
            assert client.send(request()).answer().status == 200
