"""The whole data plane over real sockets, with both kinds of transports and reactors."""

from __future__ import annotations

import hashlib
import http.client
import random
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.dataplane.processes import (
    Gateway,
    forwarding,
    read_head,
    running_gateway,
    running_instance,
    silent_address,
)
from tests.dataplane.snapshots import service
from tests.support.wait import wait_until


class Echo:
    """An instance that answers with a digest of what it got, and closes after some answers."""

    def __init__(self, *, says_so: bool) -> None:
        self._says_so = says_so

    def serve(self, connection: socket.socket) -> None:
        for turn in range(20):
            try:
                head, rest = read_head(connection)
            except ConnectionError:
                return
            body = self._read_body(connection, head.lower(), rest)
            close = b"Connection: close\r\n" if self._says_so and turn == 19 else b""
            answer = hashlib.sha256(body).hexdigest().encode() * 40
            if turn % 2:
                chunks = b"".join(
                    b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (answer[:100], answer[100:])
                )
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n"
                    % (close, chunks)
                )
            else:
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b"
                    % (close, len(answer), answer)
                )

    def _read_body(self, connection: socket.socket, head: bytes, body: bytes) -> bytes:
        if b"transfer-encoding: chunked" in head:
            while not body.endswith(b"0\r\n\r\n"):
                body += connection.recv(65536)
            return b"".join(_chunks(body))
        if b"content-length: " in head:
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
        return body


def _chunks(body: bytes) -> Iterator[bytes]:
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return
        yield body[:length]
        body = body[length + 2 :]


def ask_often(gateway: Gateway, seed: int, sizes: list[int], failures: list[str]) -> None:
    """Send requests with bodies of these sizes, and check that each answer is its own."""
    rng = random.Random(seed)
    client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        for _ in range(60):
            body = rng.randbytes(rng.choice(sizes))
            method = rng.choice(["GET", "PUT"]) if not body else rng.choice(["POST", "PUT"])
            if body and rng.random() < 0.5:
                client.request(method, "/x", iter([body[:7], body[7:]]), encode_chunked=True,
                               headers={"Transfer-Encoding": "chunked"})  # fmt: skip
            else:
                client.request(method, "/x", body or None)
            answer = client.getresponse()
            got = answer.read()
            if answer.status != 200 or got != hashlib.sha256(body).hexdigest().encode() * 40:
                failures.append(f"{method} {len(body)}: {answer.status} {got[:80]!r}")
    finally:
        client.close()


@pytest.mark.parametrize(("transports", "reactor"), [("fast", "lean"), ("stock", "stock")])
@pytest.mark.parametrize("says_so", [True, False])
def test_every_answer_is_its_own(transports: str, reactor: str, says_so: bool) -> None:
    """
    Clients side by side get the answers to their own requests, all of them.

    Instances hang up after some answers. Where they don't announce it, only
    requests that may be repeated are sent: nobody can promise the others.
    """
    failures: list[str] = []
    sizes = [0, 1, 100, 5000, 200_000] if says_so else [0]
    with (
        running_instance(Echo(says_so=says_so).serve) as address,
        running_gateway(*forwarding(address), transports=transports, reactor=reactor) as gateway,
    ):
        clients = [
            threading.Thread(target=ask_often, args=(gateway, seed, sizes, failures))
            for seed in range(6)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        counters = gateway.ask()["counters"]
    assert failures == []
    assert counters["in_flight_now"] == 0
    assert sum(row[2][2] for row in counters["requests"]) == 360


@pytest.mark.parametrize("transports", ["fast", "stock"])
def test_aborting_clients_leave_nothing_behind(transports: str) -> None:
    """Clients that reset their connections cost neither descriptors nor tracebacks."""
    never = threading.Event()

    def say_half(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        never.wait(30)

    with (
        running_instance(say_half) as address,
        running_gateway(*forwarding(address), transports=transports) as gateway,
    ):
        before = gateway.ask()["descriptors"]
        for turn in range(200):
            with gateway.connect() as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
                if turn % 2:
                    client.recv(10)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: gateway.ask()["counters"]["connections_accepted"] == 200)
        wait_until(lambda: gateway.ask()["counters"]["upstream_connections_now"] == 0)
        wait_until(lambda: gateway.ask()["descriptors"] <= before)
        never.set()


def test_drain_loses_no_request() -> None:
    """Clients that keep asking during a drain get answers until they are told to go."""
    with (
        running_instance(Echo(says_so=True).serve) as address,
        running_gateway(*forwarding(address)) as gateway,
    ):
        clients = [gateway.connect() for _ in range(5)]
        request = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
        drained: list[object] = []
        for number, client in enumerate(clients):
            client.sendall(request)
            head, _ = read_head(client)
            assert head.startswith(b"HTTP/1.1 200")
            if number == 2:
                waiting = threading.Thread(target=lambda: drained.append(gateway.drain()))
                waiting.start()
        for client in clients:
            client.close()
        waiting.join(30)
        assert drained == ["drained"]


@pytest.mark.parametrize("transports", ["fast", "stock"])
def test_instance_that_never_accepts(transports: str) -> None:
    """The last attempt's connect timeout is answered, leaves nothing behind and holds up no drain."""
    with (
        silent_address() as address,
        running_gateway(
            *forwarding(address, service(connect_timeout=0.2)), transports=transports
        ) as gateway,
    ):
        before = gateway.ask()["descriptors"]
        with gateway.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
            assert read_head(client)[0].startswith(b"HTTP/1.1 504")
        wait_until(lambda: gateway.ask()["descriptors"] <= before)
        counters = gateway.ask()["counters"]
        assert counters["in_flight_now"] == counters["upstream_connections_now"] == 0
        assert gateway.drain() == "drained"


@pytest.mark.parametrize(("transports", "reactor"), [("fast", "lean"), ("stock", "stock")])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_bytes_left_on_an_idle_connection_answer_nobody(
    method: bytes, transports: str, reactor: str
) -> None:
    """What an instance says unasked is not given to the client whose request comes with it."""
    opened: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        opened.append(connection)
        while True:
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    request = b"%b / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" % method
    with (
        running_instance(answer) as address,
        running_gateway(*forwarding(address), transports=transports, reactor=reactor) as gateway,
        gateway.connect() as client,
    ):
        client.sendall(request)
        assert read_head(client)[0].startswith(b"HTTP/1.1 200")
        with gateway.frozen():
            client.sendall(request)
            opened[0].sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        assert read_head(client)[0].startswith(b"HTTP/1.1 200")
        assert gateway.ask()["counters"]["upstream_connects"] == 2


def send_and_wait(gateway: Gateway, client: socket.socket, data: bytes) -> None:
    """Send, and wait until the gateway has read it."""
    before = gateway.ask()["counters"]["bytes_received"]
    client.sendall(data)
    wait_until(lambda: gateway.ask()["counters"]["bytes_received"] >= before + len(data))


@pytest.mark.parametrize("transports", ["fast", "stock"])
@pytest.mark.parametrize("says_so", [True, False])
def test_instance_that_answers_and_never_reads(says_so: bool, transports: str) -> None:
    """Its connection is not kept for what is still to be sent, however the answer ends."""
    asked = threading.Event()
    never = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        read_head(connection)
        asked.wait(30)
        close = b"Connection: close\r\n" if says_so else b""
        connection.sendall(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % close)
        never.wait(30)

    with (
        running_instance(answer) as address,
        running_gateway(*forwarding(address), transports=transports) as gateway,
        gateway.connect() as client,
    ):
        head = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        send_and_wait(gateway, client, head)
        while not gateway.ask()["buffered"]:  # until the system takes no more
            send_and_wait(gateway, client, b"4000\r\n%b\r\n" % bytes(0x4000))
        send_and_wait(gateway, client, b"0\r\n\r\n")
        asked.set()
        assert read_head(client)[0].startswith(b"HTTP/1.1 200")
        wait_until(lambda: gateway.ask()["counters"]["upstream_connections_now"] == 0)
        never.set()
