"""How answers become bytes on a client's connection."""

from __future__ import annotations

from typing import Any

from fengling_gateway.dataplane.state import PlaneState
from fengling_gateway.http.framing import NO_BODY, TUNNEL
from fengling_gateway.http.head import RequestHead
from fengling_gateway.http.headers import Pair


class AnswerWriter:
    """
    Writes one answer after the other; `DownstreamConnection` says to which requests.

    What it is given is gathered until `flush`.
    """

    __slots__ = (
        "_chunks_out",
        "_close_after",
        "_has_sent",
        "_head",
        "_out",
        "_plane",
        "_transport",
    )

    def __init__(self, plane: PlaneState) -> None:
        self._plane = plane
        self._transport: Any = None
        # The request's head, which says what its client understands.
        self._head: RequestHead | None = None
        self._out: list[bytes] = []
        self._has_sent = False
        self._chunks_out = False
        self._close_after = False

    def _is_last(self) -> bool:
        """Whether the connection ends with the answer that begins now."""
        raise NotImplementedError

    def end_connection(self) -> None:
        self._close_after = True

    def send_interim(self, status: int, reason: bytes, pairs: list[Pair]) -> None:
        out = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
        for name, value in pairs:
            out += (name, b": ", value, b"\r\n")
        out.append(b"\r\n")
        data = b"".join(out)
        self._plane.counters.bytes_sent += len(data)
        self._transport.write(data)

    def send_head(self, status: int, reason: bytes, pairs: list[Pair], framing: int) -> None:
        out = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
        for name, value in pairs:
            out += (name, b": ", value, b"\r\n")
        head = self._head
        self._chunks_out = False
        if framing >= 0:
            out.append(b"Content-Length: %d\r\n" % framing)
        elif framing == TUNNEL:
            out.append(b"\r\n")
            self._out = out
            return
        elif framing != NO_BODY:
            # Its length is unknown: chunks for those who know them, else the end is the end.
            if head is not None and head.minor:
                self._chunks_out = True
                out.append(b"Transfer-Encoding: chunked\r\n")
            else:
                self._close_after = True
        if self._is_last():
            self._close_after = True
        if self._close_after:
            out.append(b"Connection: close\r\n\r\n")
        elif head is not None and not head.minor:
            out.append(b"Connection: keep-alive\r\n\r\n")
        else:
            out.append(b"\r\n")
        self._out = out

    def send_data(self, data: bytes) -> None:
        if self._chunks_out:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def flush(self) -> None:
        if self._out:
            data = b"".join(self._out) if len(self._out) > 1 else self._out[0]
            self._out = []
            self._has_sent = True
            self._plane.counters.bytes_sent += len(data)
            self._transport.write(data)

    def retract(self) -> bool:
        if self._has_sent:
            return False
        self._out = []
        return True
