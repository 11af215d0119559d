"""What a browser's page talks to: a small web site, and a WebSocket that echoes."""

from __future__ import annotations

import email
import gzip
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

PAGE: Final = Path(__file__).with_name("web_page.html")
LETTERS: Final = "".join(f"line {number}\n" for number in range(20_000)).encode()
ZIPPED: Final = gzip.compress(LETTERS, mtime=0)
PIECES: Final = ("one", "two", "three")
_PATIENCE_SECONDS: Final = 30.0


@dataclass
class Site:
    """What the page got there, as far as it can't see it itself."""

    requests: Counter[str] = field(default_factory=Counter)
    """By method and path, for an answer 304 with that."""
    last_event_ids: list[str | None] = field(default_factory=list)
    """What each request for events said it has."""
    closes: list[tuple[int, str]] = field(default_factory=list)
    """With what code and reason each WebSocket was closed by the page."""
    addresses: tuple[str, str] = ("", "")
    """Of the site and of the WebSocket."""
    _acknowledged: set[tuple[str, str]] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def acknowledge(self, stream: str, what: str) -> None:
        with self._changed:
            self._acknowledged.add((stream, what))
            self._changed.notify_all()

    def is_acknowledged(self, stream: str, what: str) -> bool:
        """Wait until the page has it; False when it takes too long."""
        with self._changed:
            return self._changed.wait_for(
                lambda: (stream, what) in self._acknowledged, _PATIENCE_SECONDS
            )

    def begin(self) -> None:
        """Remember nothing of other tests."""
        self.requests.clear()
        self.last_event_ids.clear()
        self.closes.clear()
        self._acknowledged.clear()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: Site

    def do_GET(self) -> None:
        self.site.requests[f"{self.command} {self.path}"] += 1
        method = f"get_{self.path.split('/')[1] or 'page'}"
        getattr(self, method, self._not_found)()

    def do_POST(self) -> None:
        self.site.requests[f"{self.command} {self.path}"] += 1
        self.body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        getattr(self, f"post_{self.path.split('/')[1]}", self._not_found)()

    def answer(self, body: bytes, *headers: tuple[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def get_page(self) -> None:
        self.answer(PAGE.read_bytes(), ("Content-Type", "text/html"))

    def get_hello(self) -> None:
        self.answer(b"hello")

    # Streams

    def post_seen(self) -> None:
        _, _, stream, what = self.path.split("/")
        self.site.acknowledge(stream, what)
        self.answer(b"", status=204)

    def get_events(self) -> None:
        """So many events, each when the last one has arrived, from where the page was; the end."""
        last = self.headers.get("Last-Event-ID")
        self.site.last_event_ids.append(last)
        self.begin_chunks(("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))
        first = int(last or 0) + 1
        for number in range(first, first + int(self.path.rpartition("/")[2])):
            text = f"retry: 20\nid: {number}\nevent: tick\ndata: event\ndata: {number}\n\n"
            self.send_chunk(text.encode())
            if not self.site.is_acknowledged("events", str(number)):
                return
        self.send_chunk(b"")

    def get_stream(self) -> None:
        self.begin_chunks()
        for piece in PIECES:
            self.send_chunk(piece.encode())
            if not self.site.is_acknowledged("stream", piece):
                return
        self.send_chunk(b"")

    def get_cut(self) -> None:
        """An answer without its end."""
        self.begin_chunks()
        self.send_chunk(b"half of it")
        self.close_connection = True

    def begin_chunks(self, *headers: tuple[str, str]) -> None:
        self.send_response(200)
        for name, value in (*headers, ("Transfer-Encoding", "chunked")):
            self.send_header(name, value)
        self.end_headers()

    def send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    # Forms

    def post_form(self) -> None:
        word = parse_qs(self.body.decode())["word"][0]
        self.answer(b"", ("Location", f"../formed/{len(word)}"), status=303)

    def get_formed(self) -> None:
        self.answer(b"<!DOCTYPE html><title>Formed</title>", ("Content-Type", "text/html"))

    def post_upload(self) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + self.body, policy=HTTP)
        word, file = form.iter_parts()
        content = file.get_payload(decode=True)
        got = {
            "word": word.get_payload(decode=True).decode(),
            "name": file.get_filename(),
            "digest": hashlib.sha256(content).hexdigest(),
        }
        self.answer(json.dumps(got).encode(), ("Content-Type", "application/json"))

    # Cookies and redirects

    def get_login(self) -> None:
        cookies = ("one=1; Path=/; Expires=Wed, 01 Jan 2098 00:00:00 GMT", "two=2; HttpOnly")
        self.answer(b"", *(("Set-Cookie", cookie) for cookie in cookies))

    def get_cookies(self) -> None:
        self.answer(self.headers.get("Cookie", "").encode())

    def get_moved(self) -> None:
        self.answer(b"moved", ("Location", "/landed"), status=302)

    def get_landed(self) -> None:
        self.answer(b"GET")

    def post_moved(self) -> None:
        self.answer(b"moved", ("Location", "/landed"), status=307)

    def post_landed(self) -> None:
        self.answer(b"POST " + self.body)

    # Caches and codings

    def get_tagged(self) -> None:
        headers = (("ETag", '"v1"'), ("Cache-Control", "no-cache"))
        if self.headers.get("If-None-Match") == '"v1"':
            self.site.requests["304"] += 1
            self.answer(b"", *headers, status=304)
        else:
            self.answer(b"tagged", *headers)

    def get_fresh(self) -> None:
        """What may be kept by language."""
        language = self.headers.get("Accept-Language", "")
        headers = (("Cache-Control", "max-age=600"), ("Vary", "Accept-Language"))
        self.answer(language.encode(), *headers)

    def get_zipped(self) -> None:
        assert "gzip" in self.headers["Accept-Encoding"]
        self.answer(ZIPPED, ("Content-Encoding", "gzip"), ("ETag", 'W/"z"'))

    def _not_found(self) -> None:
        self.answer(b"nothing here", status=404)

    def log_message(self, *args: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that has what it wants may close."""


@contextmanager
def running_site() -> Iterator[Site]:
    site = Site()

    def echo(connection: ServerConnection) -> None:
        try:
            while True:
                message = connection.recv()
                if message == "close":
                    return connection.close(4321, "wie gewünscht")
                connection.send(message)
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                site.closes.append((closed.rcvd.code, closed.rcvd.reason))

    handler = type("Handler", (_Handler,), {"site": site})
    with (
        _Server(("127.0.0.1", 0), handler) as web,
        serve(echo, "127.0.0.1", 0, max_size=None, subprotocols=["echo"]) as chat,
    ):
        for server in (web, chat):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        ports = (web.server_port, chat.socket.getsockname()[1])
        site.addresses = tuple(f"http://127.0.0.1:{port}" for port in ports)
        yield site
        chat.shutdown()
        web.shutdown()
