"""A reader of requests that is independent of the gateway's, and accepts the canonical form only.

What an instance gets must have exactly one reading. So whatever a lenient server might read
differently is `UnsafeError` here, even where the RFC allows it: another spelling of a length, white
space around a value, a chunk extension, a second Host, bytes after the request.
"""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass, field

Pair = tuple[bytes, bytes]

TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_VISIBLE = frozenset(range(0x21, 0x7F))
_VALUE = _VISIBLE | frozenset(b" \t") | frozenset(range(0x80, 0x100))
_DIGITS = frozenset(b"0123456789")
_LOWER_HEX = _DIGITS | frozenset(b"abcdef")

_ONCE = (
    *(b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"te"),
    *(b"expect", b"trailer", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"),
    *(b"x-request-id", b"x-tenant-id", b"x-user-id", b"x-user-name", b"x-roles"),
)
_NEVER = (
    *(b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"),
    *(b"http2-settings", b"alt-svc", b"close", b"forwarded"),
)


class UnsafeError(Exception):
    """What came is not one canonical request."""


class CutError(Exception):
    """The connection ended in the middle of a message."""


class Stream:
    """A socket, read byte by byte."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._data = b""
        self._at = 0

    def byte(self) -> int | None:
        """The next byte; None at the end."""
        if self._at == len(self._data):
            try:
                self._data = self.connection.recv(65536)
            except ConnectionError:
                self._data = b""
            self._at = 0
            if not self._data:
                return None
        self._at += 1
        return self._data[self._at - 1]

    def exactly(self, length: int) -> bytes:
        """So many bytes."""
        pieces = []
        while length:
            if (first := self.byte()) is None:
                raise CutError
            piece = bytes((first,)) + self._data[self._at : self._at + length - 1]
            self._at += len(piece) - 1
            length -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def rest(self) -> bytes:
        """Everything to the end."""
        pieces = []
        while (first := self.byte()) is not None:
            pieces.append(bytes((first,)) + self._data[self._at :])
            self._at = len(self._data)
        return b"".join(pieces)

    def has_more(self) -> bool:
        """Whether something lies there unread, the end not counted."""
        if self._at < len(self._data):
            return True
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if not poll.poll(0):
            return False
        try:
            return self.connection.recv(1, socket.MSG_PEEK) != b""
        except ConnectionError:
            return False


class Headed:
    """What has headers."""

    headers: list[Pair]

    def all(self, name: str) -> list[bytes]:
        """The values of all lines of this name."""
        lower = name.lower().encode()
        return [value for key, value in self.headers if key.lower() == lower]

    def one(self, name: str) -> bytes | None:
        """The value of the one line of this name; None without any."""
        values = self.all(name)
        assert len(values) <= 1, values
        return values[0] if values else None


@dataclass
class Request(Headed):
    """A request as an instance got it."""

    method: bytes
    target: bytes
    headers: list[Pair]
    connection: int = 0
    body: bytes = b""
    chunks: list[int] = field(default_factory=list)
    trailers: list[Pair] = field(default_factory=list)
    is_complete: bool = False

    @property
    def names(self) -> list[bytes]:
        """The names of all headers in lower case."""
        return [name.lower() for name, _ in self.headers]


def read_head(stream: Stream) -> Request | None:
    """The next head; None where the connection ends before it."""
    first = _line(stream, may_end=True)
    if first is None:
        return None
    parts = first.split(b" ")
    if len(parts) != 3 or not parts[0] or not TOKEN.issuperset(parts[0]):
        raise UnsafeError(f"first line {first!r}")
    method, target, version = parts
    if version != b"HTTP/1.1":
        raise UnsafeError(f"version {version!r}")
    if target[:1] != b"/" or not _VISIBLE.issuperset(target) or b"#" in target:
        raise UnsafeError(f"target {target!r}")
    request = Request(method, target, _headers(stream))
    _judge(request)
    return request


def _line(stream: Stream, *, may_end: bool = False) -> bytes | None:
    line = bytearray()
    while True:
        byte = stream.byte()
        if byte is None:
            if may_end and not line:
                return None
            raise CutError
        if byte == 0x0D:
            if stream.byte() != 0x0A:
                raise UnsafeError(f"bare CR after {bytes(line)!r}")
            return bytes(line)
        if byte in (0x0A, 0x00):
            raise UnsafeError(f"bare LF or NUL after {bytes(line)!r}")
        line.append(byte)


def _headers(stream: Stream) -> list[Pair]:
    headers = []
    while line := _line(stream):
        name, colon, value = line.partition(b": ")
        if not colon:
            name, colon, value = line.partition(b":")
        if not colon or not name or not TOKEN.issuperset(name):
            raise UnsafeError(f"header {line!r}")
        if not _VALUE.issuperset(value) or value != value.strip(b" \t"):
            raise UnsafeError(f"header {line!r}")
        headers.append((name, value))
    return headers


def _judge(request: Request) -> None:
    names = request.names
    for name in _ONCE:
        if names.count(name) > 1:
            raise UnsafeError(f"{name!r} twice")
    for name in _NEVER:
        if name in names:
            raise UnsafeError(f"{name!r} went through")
    if request.one("Host") in (None, b""):
        raise UnsafeError("no Host")
    length, coding = request.one("Content-Length"), request.one("Transfer-Encoding")
    if length is not None and coding is not None:
        raise UnsafeError("two framings")
    if length is not None and (not length or not _DIGITS.issuperset(length)):
        raise UnsafeError(f"length {length!r}")
    if length is not None and length != b"%d" % int(length):
        raise UnsafeError(f"length {length!r}")
    if coding not in (None, b"chunked"):
        raise UnsafeError(f"coding {coding!r}")
    _judge_hop_by_hop(request)


def _judge_hop_by_hop(request: Request) -> None:
    tokens = (request.one("Connection") or b"").lower().replace(b" ", b"").split(b",")
    for token in filter(None, tokens):
        if token not in (b"upgrade", b"te", b"close") or (
            token != b"close" and token not in request.names
        ):
            raise UnsafeError(f"Connection: {token!r}")
    for name in (b"upgrade", b"te"):
        if name in request.names and name not in tokens:
            raise UnsafeError(f"{name!r} that Connection does not name")
    if request.one("TE") not in (None, b"trailers"):
        raise UnsafeError("TE")


def read_body(stream: Stream, request: Request) -> None:
    """Read the body into `request`."""
    if request.one("Transfer-Encoding") is not None:
        _read_chunks(stream, request)
    else:
        left = int(request.one("Content-Length") or b"0")
        while left:
            piece = stream.exactly(min(left, 65536))
            request.body += piece
            left -= len(piece)
    request.is_complete = True


def _read_chunks(stream: Stream, request: Request) -> None:
    while True:
        line = _line(stream) or b""
        if not line or not _LOWER_HEX.issuperset(line) or line != b"%x" % int(line, 16):
            raise UnsafeError(f"chunk size {line!r}")
        size = int(line, 16)
        if not size:
            request.trailers = _headers(stream)
            return
        request.chunks.append(size)
        request.body += stream.exactly(size)
        if stream.exactly(2) != b"\r\n":
            raise UnsafeError("chunk longer than its size")
