"""A slow peer costs its own time, and a bounded amount of memory."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from typing import Any

import pytest

from tests.dataplane.processes import (
    Gateway,
    forwarding,
    read_head,
    running_gateway,
    running_instance,
)
from tests.dataplane.snapshots import route, service
from tests.support.wait import wait_until

GIGABYTE = 1 << 30
BLOCK = bytes(range(256)) * 256
BOUND = 256 * 1024
NO_LIMIT = route(policies={"limits": {"max_request_body": None}})


def send_gigabyte(connection: socket.socket) -> None:
    """Answer every request with a gigabyte."""
    while True:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE)
        for _ in range(GIGABYTE // len(BLOCK)):
            connection.sendall(BLOCK)


class ReadsNothing:
    """An instance that reads a request's head, and its body only when told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.received = 0
        self.digest = hashlib.sha256()

    def serve(self, connection: socket.socket) -> None:
        head, rest = read_head(connection)
        if b"content-length" not in head.lower():
            self.go_on.wait(60)
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.go_on.wait(60)
        while True:
            self.received += len(rest)
            self.digest.update(rest)
            if self.received == length:
                break
            rest = connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def stalled(gateway: Gateway, counter: str, at_least: int) -> dict[str, Any]:
    """Wait until a counter has moved and then stood still; return the last answer."""
    last: dict[str, Any] = {}

    def stands_still() -> bool:
        nonlocal last
        before, last = last, gateway.ask()
        value = last["counters"][counter]
        return bool(before) and value >= at_least and value == before["counters"][counter]

    wait_until(stands_still, interval=0.25)
    return last


@pytest.mark.parametrize("transports", ["fast", "stock"])
def test_stalled_readers_of_a_gigabyte_bound_the_buffers(transports: str) -> None:
    """Clients who ask for a gigabyte and read nothing cost at most 256 KiB each."""
    readers = 20
    with (
        running_instance(send_gigabyte) as address,
        running_gateway(*forwarding(address), transports=transports) as gateway,
    ):
        before = gateway.ask()
        clients = [gateway.connect(receive_buffer=4096) for _ in range(readers)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        after = stalled(gateway, "upstream_bytes_received", readers * 64 * 1024)
        assert after["buffered"] <= BOUND
        assert after["rss"] - before["rss"] <= readers * BOUND
        for client in clients:
            client.close()
        wait_until(lambda: gateway.ask()["counters"]["connections_now"] == 0)
        wait_until(lambda: gateway.ask()["counters"]["upstream_connections_now"] == 0)


@pytest.mark.parametrize("transports", ["fast", "stock"])
def test_reader_who_goes_on_gets_every_byte(transports: str) -> None:
    """A stalled answer goes on when its reader does, byte for byte."""
    with (
        running_instance(send_gigabyte) as address,
        running_gateway(*forwarding(address), transports=transports) as gateway,
        gateway.connect(receive_buffer=4096) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        stalled(gateway, "upstream_bytes_received", 64 * 1024)
        _, data = read_head(client)
        wanted = 32 << 20
        received, digest = len(data), hashlib.sha256(data)
        while received < wanted:
            data = client.recv(min(1 << 16, wanted - received))
            received += len(data)
            digest.update(data)
        assert digest.digest() == hashlib.sha256(BLOCK * (wanted // len(BLOCK))).digest()
        assert gateway.ask()["buffered"] <= BOUND


@pytest.mark.parametrize("transports", ["fast", "stock"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_stalled_instance_bounds_what_is_taken_from_uploaders(
    transports: str, framing: str
) -> None:
    """Uploads of a gigabyte to an instance that reads nothing cost at most 256 KiB each."""
    instance = ReadsNothing()
    with (
        running_instance(instance.serve) as address,
        running_gateway(*forwarding(address, NO_LIMIT), transports=transports) as gateway,
    ):
        before = gateway.ask()
        uploaders = [Uploader(gateway, framing) for _ in range(10)]
        after = stalled(gateway, "bytes_received", 10 * 64 * 1024)
        assert after["buffered"] <= BOUND
        assert after["rss"] - before["rss"] <= 10 * BOUND
        assert not any(uploader.is_done for uploader in uploaders)
        for uploader in uploaders:
            uploader.stop()
        instance.go_on.set()
        wait_until(lambda: gateway.ask()["counters"]["in_flight_now"] == 0)


class Uploader:
    """Uploads a gigabyte in a thread of its own, as fast as it is taken."""

    def __init__(self, gateway: Gateway, framing: str) -> None:
        self.client = gateway.connect()
        self.is_done = False
        self._framing = framing
        self._thread = threading.Thread(target=self._upload, daemon=True)
        self._thread.start()

    def _upload(self) -> None:
        head = b"POST / HTTP/1.1\r\nHost: example.com\r\n"
        try:
            if self._framing == "length":
                self.client.sendall(head + b"Content-Length: %d\r\n\r\n" % GIGABYTE)
                block = BLOCK
            else:
                self.client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
                block = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)
            for _ in range(GIGABYTE // len(BLOCK)):
                self.client.sendall(block)
            self.is_done = True
        except OSError:
            pass

    def stop(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.shutdown(socket.SHUT_RDWR)
        self.client.close()
        self._thread.join(10)


@pytest.mark.parametrize("transports", ["fast", "stock"])
def test_upload_to_an_instance_that_goes_on_is_complete(transports: str) -> None:
    """A stalled upload goes on when the instance does, byte for byte."""
    length = 32 << 20
    instance = ReadsNothing()
    with (
        running_instance(instance.serve) as address,
        running_gateway(*forwarding(address, NO_LIMIT), transports=transports) as gateway,
        gateway.connect() as client,
    ):
        body = BLOCK * (length // len(BLOCK))
        head = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n" % length
        sending = threading.Thread(target=client.sendall, args=(head + body,), daemon=True)
        sending.start()
        assert stalled(gateway, "bytes_received", 64 * 1024)["buffered"] <= BOUND
        instance.go_on.set()
        head, _ = read_head(client)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert instance.received == length
        assert instance.digest.digest() == hashlib.sha256(body).digest()
        sending.join(10)


def test_system_holds_little_for_stalled_peers() -> None:
    """Nor do sockets take megabytes that a reader, or an instance, has no room for."""
    most = 1 << 20
    instance = ReadsNothing()
    with (
        running_instance(send_gigabyte) as sending,
        running_gateway(*forwarding(sending)) as gateway,
        gateway.connect(receive_buffer=4096) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        after = stalled(gateway, "upstream_bytes_received", 64 * 1024)
        assert after["counters"]["upstream_bytes_received"] <= most
    with (
        running_instance(instance.serve) as reading,
        running_gateway(*forwarding(reading, NO_LIMIT)) as gateway,
    ):
        uploader = Uploader(gateway, "length")
        after = stalled(gateway, "bytes_received", 64 * 1024)
        assert after["counters"]["bytes_received"] <= most
        uploader.stop()
        instance.go_on.set()
        wait_until(lambda: gateway.ask()["counters"]["in_flight_now"] == 0)


IDLE_SECONDS = 0.5
SLOWLY = 3 * IDLE_SECONDS
LONG = 16 << 20


def read_slowly(connection: socket.socket, wanted: int) -> int:
    """Read for longer than the idle timeout, and too little to make much room, then the rest."""
    end = time.monotonic() + SLOWLY
    received = 0
    while received < wanted:
        data = connection.recv(4096 if time.monotonic() < end else 1 << 20)
        if not data:
            break
        received += len(data)
        if time.monotonic() < end:
            threading.Event().wait(0.01)
    return received


def failures(gateway: Gateway) -> dict[str, int]:
    return {
        code: number
        for *_, errors in gateway.ask()["counters"]["requests"]
        for code, number in errors.items()
    }


@pytest.mark.parametrize("transports", ["fast", "stock"])
def test_slow_reader_is_not_taken_for_one_who_has_stopped(transports: str) -> None:
    """Whoever reads a little has not been idle, though no buffer has become free for it."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LONG)
        connection.sendall(bytes(LONG))

    slow = service(idle_timeout=IDLE_SECONDS)
    with (
        running_instance(serve) as address,
        running_gateway(*forwarding(address, slow), transports=transports) as gateway,
        gateway.connect(receive_buffer=65536) as client,
        gateway.connect(receive_buffer=65536) as stopped,
    ):
        for one in (client, stopped):
            one.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        _, data = read_head(client)
        assert len(data) + read_slowly(client, LONG - len(data)) == LONG
        wait_until(lambda: failures(gateway) == {"response_send_timeout": 1})


@pytest.mark.parametrize("transports", ["fast", "stock"])
def test_slow_instance_is_not_taken_for_one_that_has_stopped(transports: str) -> None:
    """The same goes for an instance that takes a long body."""
    received = 0

    def serve(connection: socket.socket) -> None:
        nonlocal received
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        _, data = read_head(connection)
        received = len(data) + read_slowly(connection, LONG - len(data))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    slow = service(idle_timeout=IDLE_SECONDS)
    with (
        running_instance(serve) as address,
        running_gateway(*forwarding(address, NO_LIMIT, slow), transports=transports) as gateway,
        gateway.connect() as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n" % LONG)
        client.sendall(bytes(LONG))
        assert read_head(client)[0].startswith(b"HTTP/1.1 200 ")
        assert received == LONG
