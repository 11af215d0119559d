"""How requests become bytes on a connection to an instance."""

from __future__ import annotations

from typing import Any

from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.http.chunked import LAST_CHUNK, last_chunk
from fengling_gateway.http.framing import CHUNKED, NO_BODY
from fengling_gateway.http.headers import Pair


class RequestWriter:
    """
    Writes one request after the other; `UpstreamConnection` says when.

    What it is given is gathered until `flush`.
    """

    __slots__ = (
        "_has_body",
        "_method",
        "_out",
        "_plane",
        "_request_ended",
        "_sends_chunks",
        "_transport",
    )

    def __init__(self, plane: PlaneState) -> None:
        self._plane = plane
        self._transport: Any = None
        self._out: list[bytes] = []
        self._method = b""
        self._has_body = False
        self._request_ended = False
        self._sends_chunks = False

    def send_head(
        self, method: bytes, target: bytes, host: bytes, pairs: list[Pair], framing: int
    ) -> None:
        self._method = method
        out = [method, b" ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\n"]
        for name, value in pairs:
            out += (name, b": ", value, b"\r\n")
        self._sends_chunks = framing == CHUNKED
        self._has_body = framing not in {NO_BODY, 0}
        if framing >= 0:
            out.append(b"Content-Length: %d\r\n\r\n" % framing)
        elif framing == CHUNKED:
            out.append(b"Transfer-Encoding: chunked\r\n\r\n")
        else:
            out.append(b"\r\n")
        self._out = out

    def send_data(self, data: bytes) -> None:
        if self._sends_chunks:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def send_end(self, trailers: list[Pair]) -> None:
        self._request_ended = True
        if self._sends_chunks:
            self._out.append(last_chunk(trailers) if trailers else LAST_CHUNK)
        self.flush()

    def flush(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._out = []
            self._plane.counters.upstream_bytes_sent += len(data)
            self._transport.write(data)
