"""An instance that records what it gets, judges it, and answers as a test says."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from tests.conformance.judge import CutError, Request, Stream, UnsafeError, read_body, read_head
from tests.support.wait import wait_until

CLOSE: Final = "close"
RESET: Final = "reset"
HALF_CLOSE: Final = "half-close"

Step = bytes | threading.Event | str | Callable[[Stream], bool | None]
"""
What an instance does: send bytes, wait until a test allows it, end the connection, or anything.

A callable that returns False ends the connection too.
"""

Respond = Callable[[Request], tuple[Step, ...]]

WAIT_SECONDS: Final = 20


def ok(body: bytes = b"ok", *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """An answer of known length."""
    return head(b"Content-Length: %d" % len(body), *lines, status=status) + body


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    """The head of an answer."""
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def chunked(*pieces: bytes, lines: tuple[bytes, ...] = ()) -> bytes:
    """An answer of these chunks."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head(b"Transfer-Encoding: chunked", *lines) + chunks + b"0\r\n\r\n"


class RecordingInstance:
    """
    Serves connections of the gateway, each in a thread.

    Attributes:
        requests: whose heads have arrived, in that order.
        unsafe: why something that arrived is no canonical request.
        greeted: the numbers of the connections on which the greeting was said.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.unsafe: list[str] = []
        self.greeted: set[int] = set()
        self._scripts: deque[tuple[tuple[Step, ...], tuple[Step, ...]]] = deque()
        self._respond: Respond | None = None
        self._greeting = b""
        self._numbers = itertools.count(1)
        self._open: set[int] = set()

    def begin(self) -> None:
        """Forget what was, for the next test."""
        self.requests = []
        self.greeted = set()
        self._scripts.clear()
        self._respond = None
        self._greeting = b""

    # What a test says

    def answers(self, *steps: Step) -> None:
        """Do this when the next request has arrived to its end."""
        self._scripts.append(((), steps))

    def answers_early(self, *steps: Step, then: tuple[Step, ...] = ()) -> None:
        """Do this when the next request's head has arrived, then read its body, and go on."""
        self._scripts.append((steps, then))

    def responds(self, respond: Respond) -> None:
        """Do what this returns at every request for which nothing else was said."""
        self._respond = respond

    def greets(self, greeting: bytes) -> None:
        """Say this at once on every new connection, unasked."""
        self._greeting = greeting

    # What a test asks

    def request(self, number: int = 0) -> Request:
        """The request whose head has arrived in this place, once it has."""
        wait_until(lambda: len(self.requests) > number)
        return self.requests[number]

    def whole_request(self, number: int = 0) -> Request:
        """The same, once it is complete."""
        request = self.request(number)
        wait_until(lambda: request.is_complete)
        return request

    @property
    def open_connections(self) -> set[int]:
        """The numbers of the connections that have not ended."""
        return set(self._open)

    # Serving

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection to its end."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = next(self._numbers)
        self._open.add(number)
        stream = Stream(connection)
        if self._greeting:
            self.greeted.add(number)
            connection.sendall(self._greeting)
        try:
            while (request := read_head(stream)) is not None:
                request.connection = number
                self.requests.append(request)
                if not self._serve(stream, request):
                    return
        except UnsafeError as reason:
            self.unsafe.append(str(reason))
        except CutError:
            pass
        finally:
            self._open.discard(number)

    def _serve(self, stream: Stream, request: Request) -> bool:
        early, steps = self._script(request)
        if not self._play(stream, early):
            return False
        read_body(stream, request)
        for at, step in enumerate(steps):
            if stream.has_more():
                raise UnsafeError(f"bytes after {request!r}")
            if not isinstance(step, threading.Event):
                # From here on, what comes may be the next request.
                return self._play(stream, steps[at:])
            step.wait(WAIT_SECONDS)
        return True

    def _script(self, request: Request) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        if self._scripts:
            return self._scripts.popleft()
        if self._respond is not None:
            return (), self._respond(request)
        said = request.method + b" " + request.target
        return (), (head(b"Content-Length: 0") if request.method == b"HEAD" else ok(said),)

    def _play(self, stream: Stream, steps: tuple[Step, ...]) -> bool:
        """Do what a test said; return whether the connection goes on."""
        for step in steps:
            if isinstance(step, bytes):
                stream.connection.sendall(step)
            elif isinstance(step, threading.Event):
                step.wait(WAIT_SECONDS)
            elif step == CLOSE:
                return False
            elif step == RESET:
                stream.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                return False
            elif step == HALF_CLOSE:
                stream.connection.shutdown(socket.SHUT_WR)
            elif callable(step) and step(stream) is False:
                return False
        return True
