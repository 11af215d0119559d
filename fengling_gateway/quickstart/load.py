"""A little load on the gateway, and an honest count of what came of it."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from fengling_gateway.quickstart.demo import SERVICE_HEADER

PATHS = ("/hello", "/api/orders/17", "/hello", "/hello", "/about")
"""What is asked for, in turns: routes that the demo holds."""

_RECENT_SECONDS = 3.0
_TIMEOUT_SECONDS = 5.0

_CUT = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
"""The connection ended before the first byte of an answer."""


@dataclass(slots=True)
class Answer:
    """
    One request's end: which service answered, or why it failed.

    ``asked_again``: it was cut off on a new connection, and sent once more.
    """

    at: float
    took: float
    service: str
    worker: str
    failure: str = ""
    asked_again: bool = False


@dataclass
class Tally:
    """What all clients have seen since the start. Any thread may use it."""

    requests: int = 0
    failed: int = 0
    asked_again: int = 0
    last_failure: str = ""
    _recent: deque[Answer] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, answer: Answer) -> None:
        with self._lock:
            self.requests += 1
            self.asked_again += answer.asked_again
            self._recent.append(answer)
            if answer.failure:
                self.failed += 1
                self.last_failure = answer.failure
            while self._recent[0].at < answer.at - _RECENT_SECONDS:
                self._recent.popleft()

    def recent(self) -> list[Answer]:
        """Return the answers of the last 3 seconds."""
        with self._lock:
            return list(self._recent)

    def forget_recent(self) -> None:
        with self._lock:
            self._recent.clear()


def rate(answers: list[Answer]) -> float:
    """Return how many answers came per second."""
    return len(answers) / _RECENT_SECONDS


def median_ms(answers: list[Answer]) -> float | None:
    """Return half of the answers' time in milliseconds, none without any."""
    took = sorted(answer.took for answer in answers)
    return took[len(took) // 2] * 1000 if took else None


def shares(answers: list[Answer], prefix: str) -> dict[str, float]:
    """Return which share of the answers of services named `prefix`… each of them gave."""
    counts = Counter(answer.service for answer in answers if answer.service.startswith(prefix))
    return {name: count / counts.total() for name, count in sorted(counts.items())}


class Client(threading.Thread):
    """
    One client that asks at a steady pace until told to stop.

    Args:
        keep_alive: one connection for all requests, or one for each.
        per_second: its pace; a slow answer delays the next question.
    """

    def __init__(
        self, host: str, port: int, tally: Tally, *, keep_alive: bool, per_second: float
    ) -> None:
        super().__init__(daemon=True, name=f"load {'keep-alive' if keep_alive else 'close'}")
        self._where = (host, port)
        self._tally = tally
        self._keep_alive = keep_alive
        self._interval = 1 / per_second
        self._stopping = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._reused = False

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        due = time.monotonic()
        number = 0
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._interval, time.monotonic() - 1.0)
            self._tally.add(self._ask(PATHS[number % len(PATHS)]))
            number += 1
        self._close()

    def _ask(self, path: str) -> Answer:
        began = time.monotonic()
        asked_again = False
        try:
            try:
                response = self._exchange(path)
            except _CUT:
                # Before any answer, and a GET may be sent again (RFC 9110, 9.2.2).
                # On a connection that had been idle that is no news; else a
                # worker has died with the request in its hands.
                asked_again = not self._reused
                self._close()
                response = self._exchange(path)
        except (OSError, http.client.HTTPException) as error:
            self._close()
            now = time.monotonic()
            reason = f"{path}: {str(error) or type(error).__name__}"
            return Answer(now, now - began, "", "", reason, asked_again)
        now = time.monotonic()
        worker = response.headers.get("X-Gateway-Worker", "")
        service = response.headers.get(SERVICE_HEADER, "")
        failure = "" if response.status < 400 else f"{path}: {response.status} {response.reason}"
        return Answer(now, now - began, service, worker, failure, asked_again)

    def _exchange(self, path: str) -> http.client.HTTPResponse:
        self._reused = self._connection is not None
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._where, timeout=_TIMEOUT_SECONDS)
        headers = {} if self._keep_alive else {"Connection": "close"}
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        response.read()
        if not self._keep_alive or response.will_close:
            self._close()
        return response

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """A client that keeps its connection and one that doesn't."""

    def __init__(self, host: str, port: int, *, per_second: float = 60.0) -> None:
        self.tally = Tally()
        self._clients = [
            Client(host, port, self.tally, keep_alive=keep_alive, per_second=per_second / 2)
            for keep_alive in (True, False)
        ]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        for client in self._clients:
            if client.is_alive():
                client.stop()
