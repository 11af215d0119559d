"""A web server that publishes keys, over HTTP or HTTPS, as well as or as badly as it is told."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.certificates import Issued

Answer = Callable[[BaseHTTPRequestHandler], None]

KEYS = "/keys"
DESCRIPTION = "/.well-known/openid-configuration"


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer with a length; underscores in names stand for hyphens."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def publishes(document: Any) -> Answer:
    return says(200, json.dumps(document).encode(), Content_Type="application/json")


def trickles(request: BaseHTTPRequestHandler) -> None:
    """A whole head, and a byte of the body now and then, for as long as anybody listens."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    while not _stopping(request).wait(0.05):
        request.wfile.write(b" ")


def trickles_its_head(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not _stopping(request).wait(0.05):
        request.wfile.write(b"X-More: 1\r\n")


def floods_its_head(request: BaseHTTPRequestHandler) -> None:
    """Headers without end."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not _stopping(request).is_set():
        request.wfile.write(b"X-More: " + b"x" * 8000 + b"\r\n")


def says_nothing(request: BaseHTTPRequestHandler) -> None:
    _stopping(request).wait()


def breaks_off(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")


def floods(request: BaseHTTPRequestHandler) -> None:
    """Ten megabytes that nobody was told of before."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[")
    for _ in range(160):
        request.wfile.write(b"1," * 32768)


def speaks_otherwise(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"220 mail.example ESMTP\r\n")


def _stopping(request: BaseHTTPRequestHandler) -> threading.Event:
    stopping: threading.Event = request.server.stopping  # type: ignore[attr-defined]
    return stopping


class IssuerServer:
    """
    Serves `answers` by path; everything else is 404.

    Attributes:
        asked: the paths that were, in order.
        left: the paths of answers that nobody waited for the end of.
    """

    def __init__(self, certificate: Issued | None = None, directory: Path | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.left: list[str] = []
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            assert directory is not None, "where the certificate is to lie"
            paths = certificate.write(directory, "issuer")
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(paths["chain"], paths["key"])
        self._port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"{'https' if self._context else 'http'}://localhost:{self._port}"

    @property
    def url(self) -> str:
        return self.address + KEYS

    def publish(self, *keys: Any) -> None:
        """Publish these keys, where they are and by discovery."""
        self.answers[KEYS] = publishes({"keys": list(keys)})
        self.answers[DESCRIPTION] = publishes({"issuer": self.address, "jwks_uri": self.url})

    def count(self, path: str = KEYS) -> int:
        return self.asked.count(path)

    def start(self) -> None:
        """Listen, on the port that it had before."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append(self.path.partition("?")[0])
                self.close_connection = True
                answer = server.answers.get(self.path.partition("?")[0], says(404))
                try:
                    answer(self)
                except OSError:
                    server.left.append(self.path)

            do_POST = do_GET

            def log_message(self, *args: Any) -> None: ...

        context = self._context

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            stopping = threading.Event()

            def finish_request(self, request: Any, client_address: Any) -> None:
                if context is None:
                    super().finish_request(request, client_address)
                    return
                with context.wrap_socket(request, server_side=True) as secured:
                    super().finish_request(secured, client_address)

            def handle_error(self, request: Any, client_address: Any) -> None: ...

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.stopping.set()  # type: ignore[attr-defined]
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
