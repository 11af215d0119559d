"""The upstream instances for machines without nginx: a few processes that share the ports.

Each answers every head at once with a prepared answer. Requests are expected
to have no body, except below the path for malformed ones, whose bytes are
logged and answered alike.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
from pathlib import Path
from typing import Final

from benchmarks.harness.upstream import BODY_BYTES, MALFORMED_PATH

_ODD: Final = MALFORMED_PATH.encode()
_MAX_HEAD_BYTES: Final = 65536


def answer_of(name: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\nX-Instance: {name}\r\n\r\n"
    return head.encode() + b"x" * BODY_BYTES


def take_heads(buffer: bytes) -> tuple[int, bytes]:
    """How many whole heads `buffer` begins with, and what is left after them."""
    *heads, rest = buffer.split(b"\r\n\r\n")
    return len(heads), rest


def listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    listener.setblocking(False)
    return listener


class Instances:
    """One process's listeners and connections."""

    def __init__(self, listeners: dict[socket.socket, bytes], log: Path) -> None:
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._answers = {listener.fileno(): answer for listener, answer in listeners.items()}
        self._log = log
        self._open: dict[int, tuple[socket.socket, bytes]] = {}
        self._rest: dict[int, bytes] = {}
        self._poll = select.epoll()
        for descriptor in self._listeners:
            self._poll.register(descriptor, select.EPOLLIN)

    def serve(self) -> None:
        """Forever: the parent ends it by a signal."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._listeners:
                    self._accept(descriptor)
                else:
                    self._read(descriptor)

    def _accept(self, listener: int) -> None:
        try:
            connection, _ = self._listeners[listener].accept()
        except OSError:
            return  # another process took it
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[connection.fileno()] = (connection, self._answers[listener])
        self._poll.register(connection.fileno(), select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        connection, answer = self._open[descriptor]
        try:
            received = connection.recv(65536)
            if _ODD in received:
                self._note(received)
            count, rest = take_heads(self._rest.pop(descriptor, b"") + received)
            if count:
                connection.sendall(answer * count)
        except OSError:
            received = b""
        if not received or len(rest) > _MAX_HEAD_BYTES:
            self._poll.unregister(descriptor)
            self._open.pop(descriptor)[0].close()
        elif rest:
            self._rest[descriptor] = rest

    def _note(self, received: bytes) -> None:
        with self._log.open("ab") as log:
            log.write(repr(received).encode() + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--instance", action="append", required=True, metavar="NAME:PORT")
    arguments = parser.parse_args()
    for _ in range(arguments.processes - 1):
        if os.fork() == 0:
            break
    named = (instance.split(":") for instance in arguments.instance)
    listeners = {listening(int(port)): answer_of(name) for name, port in named}
    Instances(listeners, arguments.log).serve()


if __name__ == "__main__":
    main()
