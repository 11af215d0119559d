"""An instance that does what a test wants, on a port that stays its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

UP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"
DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown"


class TestInstance:
    """
    Answers each request with the same, in threads.

    Attributes:
        answer: what is sent; None: nothing, for as long as the client likes.
        requests: heads that have arrived.
        connections: how many were accepted.
    """

    __test__ = False

    def __init__(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.answer: bytes | None = UP
        self.requests: list[bytes] = []
        self.connections = 0
        self._host = host
        self._context = context
        self._open: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://{self._host}:{self.port}"

    def start(self) -> None:
        """Listen, on the port of the last time."""
        listening = socket.create_server((self._host, self.port), backlog=100)
        self.port = listening.getsockname()[1]
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def kill(self) -> None:
        """Be gone, as a killed process is: who connects is refused."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        self._open.add(accepted)
        try:
            accepted.settimeout(30)
            with contextlib.suppress(OSError):
                if self._context is not None:
                    accepted = self._context.wrap_socket(accepted, server_side=True)
                self._talk(accepted)
        finally:
            self._open.discard(accepted)
            accepted.close()

    def _talk(self, accepted: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = accepted.recv(4096)
            if not data:
                return
            head += data
        self.requests.append(head)
        if self.answer is None:
            accepted.recv(1)
        else:
            accepted.sendall(self.answer)
            accepted.shutdown(socket.SHUT_WR)
            accepted.recv(1)
