"""Decoding of chunked bodies.

llhttp could do it, but its Python binding does not tell where a message ended,
and what follows the last chunk belongs to the next request. This decoder is
stricter than llhttp; a test compares the two.

Chunk extensions are checked for form and dropped, as are chunk borders: whoever
forwards a body makes its own chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from fengling_gateway.http.headers import Pair

MAX_SIZE_LINE_BYTES: Final = 1024
"""Longest line with a chunk's size and extensions; they carry nothing we forward."""

MAX_TRAILER_BYTES: Final = 8192

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"(?:[ \t]*;[ \t]*"
    + _TOKEN
    + rb"(?:=(?:"
    + _TOKEN
    + rb'|"[\t\x20-\x21\x23-\x5b\x5d-\x7e]*"))?)*'
)
_PLAIN_SIZE_LINE: Final = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,7})\r\n")
_TRAILER_LINE: Final = re.compile(
    rb"(" + _TOKEN + rb"):[ \t]*([\x21-\x7e\x80-\xff][\t\x20-\x7e\x80-\xff]*)?"
)

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedDecoder:
    """
    Decodes one body, fed in pieces of any size.

    Attributes:
        is_done: whether the body has ended.
        rest: once it has, the bytes that follow it.
        trailers: once it has, its trailers.
    """

    __slots__ = ("_buffered", "_left", "_state", "is_done", "rest", "trailers")

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0
        self._buffered = b""
        self.is_done = False
        self.rest = b""
        self.trailers: list[Pair] = []

    def feed(self, data: bytes) -> list[bytes]:
        """
        Return the pieces of the body in `data`.

        Raises:
            ValueError: the framing is broken, or a limit exceeded. The
                decoder must not be used any further.
        """
        pieces: list[bytes] = []
        if self._buffered:
            data = self._buffered + data
            self._buffered = b""
        at = 0
        while at < len(data) and not self.is_done:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
                continue
            if self._state == _SIZE:
                at = _take_whole_chunks(data, at, pieces)
            after = self._read_line(data, at)
            if after < 0:
                self._buffered = data[at:]
                return pieces
            at = after
        if self.is_done:
            self.rest = data[at:]
        return pieces

    def _read_line(self, data: bytes, at: int) -> int:
        """Take one line; return where the next begins, or -1 if it is not complete."""
        if self._state == _DATA_END:
            return self._end_chunk(data, at)
        limit = MAX_SIZE_LINE_BYTES if self._state == _SIZE else MAX_TRAILER_BYTES - self._left
        end = data.find(b"\r\n", at, at + limit)
        if end < 0:
            if len(data) - at >= limit or b"\n" in data[at:]:
                raise ValueError("chunk line too long or not ended by CR LF")
            return -1
        line = data[at:end]
        if self._state == _SIZE:
            self._begin_chunk(line)
        else:
            self._left += len(line) + 2
            self._take_trailer(line)
        return end + 2

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise ValueError("malformed chunk size")
        self._left = int(match[1], 16)
        # The trailers count their bytes in the same slot, from nought.
        self._state = _DATA if self._left else _TRAILERS

    def _end_chunk(self, data: bytes, at: int) -> int:
        end = data[at : at + 2]
        if end == b"\r\n":
            self._state = _SIZE
            return at + 2
        if end == b"\r":
            return -1
        raise ValueError("chunk longer than its size")

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self._state = _DONE
            self.is_done = True
            return
        match = _TRAILER_LINE.fullmatch(line)
        if match is None:
            raise ValueError("malformed trailer")
        self.trailers.append((match[1], (match[2] or b"").rstrip(b" \t")))


def _take_whole_chunks(data: bytes, at: int, pieces: list[bytes]) -> int:
    """
    Add the data of the chunks that begin at `at`; return where the first other one begins.

    Only chunks without extensions of which all is there: nearly every chunk is,
    and this is several times quicker. Whoever sends chunks of a byte each costs
    us more than they cost him.
    """
    size_line = _PLAIN_SIZE_LINE.match
    while found := size_line(data, at):
        begin = found.end()
        end = begin + int(found[1], 16)
        if data[end : end + 2] != b"\r\n":
            break
        pieces.append(data[begin:end])
        at = end + 2
    return at


def encode_chunk(data: bytes) -> bytes:
    """Return `data`, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"


def last_chunk(trailers: Iterable[Pair]) -> bytes:
    """Return the last chunk and the trailers after it."""
    return b"0\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % pair for pair in trailers)
