"""A management API, or a console's, on a real port whose answers a test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StubGateway:
    """
    Attributes:
        answers: (method, path without query) to (status, document); or to several, one after the
            other, of which the last stays. Status 0: it hangs up.
        asked: what was asked for: method, path with query, body.
        tokens: the values of the Authorization headers.
    """

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any] | list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.tokens: list[str | None] = []
        self.url = ""

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        plain = path.partition("?")[0].removeprefix("/api/gateway/")
        found = self.answers.get((method, plain))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found or (404, {"code": "not_found", "title": "There is nothing here"})


@contextmanager
def stub_gateway() -> Iterator[StubGateway]:
    """Serve a stub for the block."""
    stub = StubGateway()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def do_PUT(self) -> None:
            self._do("PUT")

        def do_DELETE(self) -> None:
            self._do("DELETE")

        def _do(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            stub.asked.append((method, self.path, body))
            stub.tokens.append(self.headers.get("Authorization"))
            status, document = stub.answer(method, self.path)
            if status == 0:
                return  # (hangs up)
            text = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: Any) -> None:
            """Tests need no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
