"""A client that sends bytes as they are and reads answers strictly."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.conformance.judge import TOKEN, CutError, Headed, Pair, Stream


def request(
    *lines: bytes,
    method: bytes = b"GET",
    target: bytes = b"/",
    host: bytes | None = b"example.com",
    version: bytes = b"HTTP/1.1",
    body: bytes = b"",
) -> bytes:
    """The bytes of a request, with these header lines as they are."""
    hosts = () if host is None else (b"Host: " + host,)
    head = (method + b" " + target + b" " + version, *hosts, *lines)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def post(body: bytes, *lines: bytes, target: bytes = b"/") -> bytes:
    """A POST of known length."""
    length = b"Content-Length: %d" % len(body)
    return request(length, *lines, method=b"POST", target=target, body=body)


def post_chunks(*pieces: bytes, lines: tuple[bytes, ...] = (), target: bytes = b"/") -> bytes:
    """A POST of these chunks."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    coding = b"Transfer-Encoding: chunked"
    return request(coding, *lines, method=b"POST", target=target, body=chunks + b"0\r\n\r\n")


@dataclass
class Answer(Headed):
    """An answer as a client got it; `interims` are the 1xx before it."""

    status: int
    reason: bytes
    headers: list[Pair]
    body: bytes = b""
    is_chunked: bool = False
    trailers: list[Pair] = field(default_factory=list)
    interims: list[Answer] = field(default_factory=list)

    @property
    def is_last(self) -> bool:
        """Whether the gateway says that it closes."""
        return self.one("Connection") == b"close"

    @property
    def code(self) -> str:
        """The code of the problem that this is."""
        assert self.one("Content-Type") == b"application/problem+json", self
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        assert self.one("X-Gateway-Error") == problem["code"].encode()
        return str(problem["code"])


class AnswerCutError(Exception):
    """The connection ended, or was reset, before the answer was complete."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__(answer)
        self.answer = answer


class Client:
    """A connection to the gateway."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = Stream(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, data: bytes, *, one_by_one: bool = False) -> Self:
        """Send bytes; the gateway may have closed before it has all."""
        try:
            if one_by_one:
                for at in range(len(data)):
                    self.socket.sendall(data[at : at + 1])
            else:
                self.socket.sendall(data)
        except ConnectionError:
            pass
        return self

    def half_close(self) -> Self:
        """Send no more, and read on."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Close so that the peer gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # Reading

    def answer(self, method: bytes = b"GET") -> Answer:
        """
        The next answer.

        Raises:
            AnswerCutError: the connection ended before.
        """
        interims: list[Answer] = []
        answer = self.head()
        while answer.status < 200:
            interims.append(answer)
            answer = self.head()
        answer.interims = interims
        self._body(answer, method)
        return answer

    def head(self) -> Answer:
        """The next head; its body is left for `data` or `body`."""
        try:
            return self._head()
        except CutError:
            raise AnswerCutError(None) from None

    def chunk(self) -> bytes:
        """The next chunk of an answer whose head was read; empty for the last."""
        size = self._line()
        assert size == b"%x" % int(size, 16), size
        data = self._stream.exactly(int(size, 16))
        if data:
            assert self._stream.exactly(2) == b"\r\n"
        return data

    def data(self, length: int) -> bytes:
        """So many bytes of a body."""
        return self._stream.exactly(length)

    def rest(self) -> bytes:
        """Everything to the end."""
        return self._stream.rest()

    def body(self, answer: Answer, method: bytes = b"GET") -> None:
        """
        Read the body of an answer whose head was read.

        Raises:
            AnswerCutError: the connection ended before its end.
        """
        self._body(answer, method)

    def ends(self) -> bool:
        """Whether the gateway closes, having said nothing more."""
        return self._stream.rest() == b""

    def _head(self) -> Answer:
        version, status, reason = self._line().split(b" ", 2)
        assert version == b"HTTP/1.1"
        assert len(status) == 3
        answer = Answer(int(status), reason, self._headers())
        assert len(answer.all("Content-Length") + answer.all("Transfer-Encoding")) <= 1, answer
        return answer

    def _headers(self) -> list[Pair]:
        headers = []
        while line := self._line():
            name, colon, value = line.partition(b": ")
            assert colon, line
            assert name, line
            assert TOKEN.issuperset(name), line
            assert value == value.strip(b" \t"), line
            headers.append((name, value))
        return headers

    def _line(self) -> bytes:
        line = bytearray()
        while (byte := self._stream.byte()) != 0x0D:
            if byte is None:
                raise CutError
            assert byte not in (0x00, 0x0A), bytes(line)
            line.append(byte)
        assert self._stream.byte() == 0x0A
        return bytes(line)

    def _body(self, answer: Answer, method: bytes) -> None:
        if method == b"HEAD" or answer.status in (204, 304):
            return
        length = answer.one("Content-Length")
        try:
            if length is not None:
                for _ in range(0, int(length), 65536):
                    left = int(length) - len(answer.body)
                    answer.body += self._stream.exactly(min(left, 65536))
            elif answer.one("Transfer-Encoding") is not None:
                self._chunks(answer)
            else:
                answer.body = self._stream.rest()
        except CutError:
            raise AnswerCutError(answer) from None

    def _chunks(self, answer: Answer) -> None:
        assert answer.one("Transfer-Encoding") == b"chunked"
        answer.is_chunked = True
        while piece := self.chunk():
            answer.body += piece
        answer.trailers = self._headers()
