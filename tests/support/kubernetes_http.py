"""As much of an HTTP/1.1 server as a pretended API server needs, with every byte in its hands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

MAX_HEAD_BYTES: Final = 64 * 1024
TRICKLE_SECONDS: Final = 0.02
"""Between two portions of an answer that comes slowly."""


class Request(NamedTuple):
    """Header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Return the next request of a connection; None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, OSError, ValueError):
        return None
    path, _, query = target.partition("?")
    return Request(method, unquote(path), dict(parse_qsl(query, True)), headers, body)


class Answer:
    """
    What is written on one connection.

    Attributes:
        bytes_per_second: how slowly; None: as fast as it is read.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.bytes_per_second: float | None = None

    async def whole(
        self, status: int, content: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        said = {"Content-Type": "application/json", **(headers or {})}
        await self._write(_head(status, {**said, "Content-Length": str(len(content))}) + content)

    async def begin(self) -> None:
        """Begin a stream of lines."""
        said = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        await self._write(_head(200, said))

    async def lines(self, lines: list[bytes]) -> None:
        """Send each in a chunk of its own, as the API server does."""
        await self._write(b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in lines))

    async def end(self) -> None:
        await self._write(b"0\r\n\r\n")

    async def half(self, line: bytes) -> None:
        """Begin a chunk, and break off in the middle of it."""
        await self._write(b"%x\r\n%s" % (len(line), line[: len(line) // 2]))
        self.abort()

    async def left(self) -> None:
        """Return when the client is gone."""
        try:
            await self._reader.read(1)
        except OSError:
            pass  # so it is

    def abort(self) -> None:
        """Break the connection off, without any farewell."""
        self._writer.transport.abort()

    async def _write(self, content: bytes) -> None:
        rate = self.bytes_per_second
        if rate is None:
            self._writer.write(content)
            await self._writer.drain()
            return
        portion = max(1, int(rate * TRICKLE_SECONDS))
        for start in range(0, len(content), portion):
            self._writer.write(content[start : start + portion])
            await self._writer.drain()
            await asyncio.sleep(TRICKLE_SECONDS)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
