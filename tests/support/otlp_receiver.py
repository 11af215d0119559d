"""A collector: it takes spans by OTLP/HTTP, decodes them, and answers as it is told."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.certificates import Issued

Answer = Callable[[BaseHTTPRequestHandler], None]


class Received(NamedTuple):
    """
    A span as it has arrived; ids in hex, times in nanoseconds.

    `resource` is what the process that it is from says of itself.
    """

    trace_id: str
    span_id: str
    parent_id: str
    state: str
    flags: int
    kind: str
    name: str
    start: int
    end: int
    attributes: dict[str, Any]
    is_error: bool
    message: str
    resource: dict[str, Any]


def takes(request: BaseHTTPRequestHandler) -> None:
    _say(request, 200, ExportTraceServiceResponse().SerializeToString())


def takes_all_but(rejected: int, message: str) -> Answer:
    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    content = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    return lambda request: _say(request, 200, content)


def says(status: int, content: bytes = b"", **headers: str) -> Answer:
    """Answer so; underscores in names stand for hyphens."""
    return lambda request: _say(request, status, content, headers)


def says_nothing(request: BaseHTTPRequestHandler) -> None:
    """Read the request, and be silent until the receiver is stopped."""
    request.server.stopping.wait()  # type: ignore[attr-defined]


def trickles(request: BaseHTTPRequestHandler) -> None:
    """A head, and a byte of the body now and then, for as long as anybody listens."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    while not request.server.stopping.wait(0.05):  # type: ignore[attr-defined]
        request.wfile.write(b" ")


def breaks_off(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")


def _say(
    request: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    headers: Mapping[str, str] | None = None,
) -> None:
    request.send_response(status)
    request.send_header("Content-Type", "application/x-protobuf")
    for name, value in (headers or {}).items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


class OtlpReceiver:
    """
    Listens on a free port of loopback.

    Attributes:
        answers: what is done with the next requests, one each; when there are none left,
            `answer` is.
        spans: those of requests that were answered with a 2xx or by something of the test's.
        requests: the headers of all requests, by lower-case name, with ``:path``.
    """

    def __init__(self, certificate: Issued | None = None, directory: Path | None = None) -> None:
        self.answers: list[Answer] = []
        self.answer: Answer = takes
        self.spans: list[Received] = []
        self.requests: list[dict[str, str]] = []
        self._lock = threading.Lock()
        context = None if certificate is None else _context(certificate, directory)
        self._scheme = "http" if context is None else "https"
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = _Server(("127.0.0.1", 0), handler, context)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        return f"{self._scheme}://localhost:{self.port}"

    @property
    def url(self) -> str:
        return self.address + "/v1/traces"

    def stop(self) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def took(self, headers: dict[str, str], body: bytes) -> Answer:
        """Note a request, and return what is to be done with it."""
        spans = _decoded(body)
        with self._lock:
            self.requests.append(headers)
            answer = self.answers.pop(0) if self.answers else self.answer
            if answer is takes:
                self.spans += spans
        return answer

    def named(self, name: str) -> list[Received]:
        with self._lock:
            return [one for one in self.spans if one.name == name]


def _context(certificate: Issued, directory: Path | None) -> ssl.SSLContext:
    assert directory is not None, "where the certificate is to lie"
    paths = certificate.write(directory, "otlp")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths["chain"], paths["key"])
    return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: Any, handler: Any, context: ssl.SSLContext | None) -> None:
        super().__init__(address, handler)
        self.stopping = threading.Event()
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, as is the handshake."""
        if self._context is None:
            super().finish_request(request, client_address)
            return
        with self._context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    receiver: OtlpReceiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.receiver.took({**headers, ":path": self.path}, body)
        self.close_connection = answer is not takes
        try:
            answer(self)
        except OSError:
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _decoded(body: bytes) -> list[Received]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Received(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            state=span.trace_state,
            flags=span.flags,
            kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
            name=span.name,
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            attributes=_values(span.attributes),
            is_error=span.status.code == span.status.STATUS_CODE_ERROR,
            message=span.status.message,
            resource=_values(of_process.resource.attributes),
        )
        for of_process in request.resource_spans
        for of_scope in of_process.scope_spans
        for span in of_scope.spans
    ]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs if isinstance(pair, KeyValue)}


def _value(value: AnyValue) -> Any:
    return getattr(value, str(value.WhichOneof("value")))
