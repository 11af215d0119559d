"""A load generator for machines without wrk: one process, sockets that do not block, a closed loop.

It spends some 15 to 25 µs per request, so it needs a core of its own and still
cannot keep the fastest peers busy: the table then shows the proxy's core less
than busy. Prints a `benchmarks.harness.load.LoadOutcome` as JSON.
"""

from __future__ import annotations

import argparse
import heapq
import json
import re
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

from benchmarks.harness.quantiles import percentile
from benchmarks.harness.traffic import heads, plain_head, traceparent

_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


def answer_length(received: bytes) -> int | None:
    """Length of the first whole answer in `received`; None while it is incomplete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = _LENGTH.search(received, 0, end)
    length = end + 4 + (int(found.group(1)) if found else 0)
    return length if len(received) >= length else None


def request_maker(traffic: str, port: int) -> Callable[[int], bytes]:
    """The bytes of request number n."""
    if traffic == "plain":
        plain = (plain_head(port) + "\r\n").encode()
        return lambda _number: plain
    beginnings = [head.encode() for head in heads()]
    return lambda number: (
        beginnings[number % len(beginnings)] + traceparent(number).encode() + b"\r\n\r\n"
    )


class Connection:
    """One keep-alive connection that has at most one request under way."""

    __slots__ = ("buffer", "sent_at", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """
        The answer, once it is complete.

        Raises:
            ConnectionError: the other side closed.
        """
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("closed before the answer")
        self.buffer += received
        length = answer_length(self.buffer)
        if length is None:
            return None
        answer, self.buffer = self.buffer[:length], self.buffer[length:]
        return answer


class Loop:
    """Keeps `connections` connections busy until told to stop."""

    def __init__(self, port: int, connections: int, traffic: str, pause_seconds: float) -> None:
        self._port = port
        self._make = request_maker(traffic, port)
        self._pause = pause_seconds
        self._poll = select.epoll()
        self._open: dict[int, Connection] = {}
        self._resting: list[tuple[float, int]] = []
        self._sent = 0
        self.latencies: list[float] = []
        self.failed = 0
        self.stopping = False
        for _ in range(connections):
            self._connect()

    def run(self, seconds: float) -> float:
        """Returns how long it took, in seconds."""
        began = time.perf_counter()
        while not self.stopping and time.perf_counter() - began < seconds:
            self._wake_rested()
            for descriptor, _ in self._poll.poll(0.001 if self._pause else 0.1):
                self._readable(descriptor)
        return time.perf_counter() - began

    def _connect(self) -> None:
        connection = Connection(self._port)
        self._open[connection.socket.fileno()] = connection
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        self._sent += 1
        connection.send(self._make(self._sent))

    def _readable(self, descriptor: int) -> None:
        connection = self._open[descriptor]
        try:
            answer = connection.receive()
        except OSError:
            self.failed += 1
            self._replace(descriptor)
            return
        if answer is not None:
            self._answered(descriptor, connection, answer)

    def _answered(self, descriptor: int, connection: Connection, answer: bytes) -> None:
        self.latencies.append(time.perf_counter() - connection.sent_at)
        self.failed += answer[9:10] not in (b"2", b"3")
        if b"\r\nconnection: close" in answer[:1024].lower():
            self._replace(descriptor)
        elif self._pause:
            heapq.heappush(self._resting, (time.perf_counter() + self._pause, descriptor))
        else:
            self._send(connection)

    def _replace(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._open.pop(descriptor).socket.close()
        self._connect()

    def _wake_rested(self) -> None:
        while self._resting and self._resting[0][0] <= time.perf_counter():
            self._send(self._open[heapq.heappop(self._resting)[1]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--traffic", required=True)
    parser.add_argument("--pause-ms", type=float, default=0.0)
    arguments = parser.parse_args()
    loop = Loop(arguments.port, arguments.connections, arguments.traffic, arguments.pause_ms / 1000)
    signal.signal(signal.SIGINT, lambda *_: setattr(loop, "stopping", True))
    seconds = loop.run(arguments.seconds)
    outcome = {
        "requests": len(loop.latencies),
        "seconds": seconds,
        "p50_ms": percentile(loop.latencies, 50) * 1000,
        "p99_ms": percentile(loop.latencies, 99) * 1000,
        "failed": loop.failed,
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
