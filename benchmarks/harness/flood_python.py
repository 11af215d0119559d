"""Requests with tokens that are no good, so many a second, each of them another one.

An open loop: what is due is sent as soon as a connection is free. Prints a
`benchmarks.harness.flooding.FloodOutcome` as JSON when it is interrupted.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from benchmarks.harness.forge import forgery
from benchmarks.harness.load_python import Connection
from benchmarks.harness.traffic import HOST, targets, traceparent

NOTHING: Final = "nothing"
"""A kind that shows nothing, and is refused for that: what any request costs."""

_WAIT_SECONDS: Final = 0.001


def request_maker(kinds: list[str], issuer: str, key_id: str, seed: int) -> Callable[[int], bytes]:
    """The bytes of request number n, of one kind after the other."""
    rng = random.Random(seed)
    paths = targets()
    start = rng.getrandbits(40)

    def make(number: int) -> bytes:
        kind = kinds[number % len(kinds)]
        shown = ""
        if kind != NOTHING:
            token = forgery(issuer, key_id, kind, start + number, rng)
            shown = f"Authorization: Bearer {token}\r\n"
        return (
            f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: {HOST}\r\n"
            f"User-Agent: flood/1.0\r\nAccept: */*\r\n{shown}"
            f"traceparent: {traceparent(number)}\r\n\r\n"
        ).encode()

    return make


class Flood:
    """Keeps to a rate until told to stop."""

    def __init__(
        self, port: int, connections: int, rate: float, make: Callable[[int], bytes]
    ) -> None:
        self._port = port
        self._rate = rate
        self._make = make
        self._poll = select.epoll()
        self._open: dict[int, Connection] = {}
        self._free: list[int] = []
        self._sent = 0
        self.answers: dict[str, int] = {}
        self.broken = 0
        self.stopping = False
        for _ in range(connections):
            self._connect()

    def run(self) -> float:
        """Returns how long it took, in seconds."""
        began = time.perf_counter()
        while not self.stopping:
            due = int((time.perf_counter() - began) * self._rate) - self._sent
            for _ in range(min(due, len(self._free))):
                self._send()
            for descriptor, _ in self._poll.poll(_WAIT_SECONDS):
                self._readable(descriptor)
        return time.perf_counter() - began

    def _connect(self) -> None:
        connection = Connection(self._port)
        self._open[connection.socket.fileno()] = connection
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        self._free.append(connection.socket.fileno())

    def _send(self) -> None:
        descriptor = self._free.pop()
        self._sent += 1
        # (What is broken is noticed when it is read.)
        with suppress(OSError):
            self._open[descriptor].send(self._make(self._sent))

    def _readable(self, descriptor: int) -> None:
        connection = self._open[descriptor]
        try:
            answer = connection.receive()
        except OSError:
            self.broken += descriptor not in self._free
            self._replace(descriptor)
            return
        if answer is None:
            return
        status = answer[9:12].decode("latin-1")
        self.answers[status] = self.answers.get(status, 0) + 1
        if b"\r\nconnection: close" in answer[:2048].lower():
            self._replace(descriptor)
        else:
            self._free.append(descriptor)

    def _replace(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        if descriptor in self._free:
            self._free.remove(descriptor)
        self._open.pop(descriptor).socket.close()
        self._connect()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--kind", action="append", required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--key-id", required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    make = request_maker(given.kind, given.issuer, given.key_id, given.seed)
    flood = Flood(given.port, given.connections, given.rate, make)
    signal.signal(signal.SIGINT, lambda *_: setattr(flood, "stopping", True))
    seconds = flood.run()
    outcome = {"seconds": seconds, "answers": flood.answers, "broken": flood.broken}
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
