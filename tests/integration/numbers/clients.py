"""Clients that make requests, and keep a ledger of what became of them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.integration.numbers.instance import HEAD_END, Ledger
from tests.integration.numbers.kinds import Planned

DEADLINE_SECONDS = 60.0
_NOW = struct.pack("ii", 1, 0)


@dataclass
class Outcome:
    """
    What became of a request.

    Attributes:
        status, error: of the answer; 0 without one. The error is what X-Gateway-Error said.
        received: bytes of the answer's body, or of a tunnel.
        is_whole: whether all of the answer came, with its end.
        sent: bytes of the request's body, if all of it was sent and asked for.
    """

    planned: Planned
    status: int = 0
    error: str | None = None
    received: int = 0
    is_whole: bool = False
    sent: int | None = None


class UnansweredError(Exception):
    """A kept connection was closed before any of an answer came: it was not read from any more."""


class Clients:
    """
    The clients' ledger.

    Attributes:
        outcomes: by the id of the request.
        nameless: answers to what was no request, by status and error.
        unserved: ids of requests that were sent on a connection which was closed, unread.
        connections: that were opened.
    """

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._port = port
        self._ledger = ledger
        self._next = 0
        self.outcomes: dict[str, Outcome] = {}
        self.nameless: Counter[tuple[int, str | None]] = Counter()
        self.unserved: list[str] = []
        self.connections = 0
        self.done = 0

    async def work_off(self, plans: Iterator[Planned]) -> None:
        """Make requests, one after the other, on a connection that is kept where it can be."""
        connection: _Connection | None = None
        for one in plans:
            while True:
                if connection is None:
                    connection = await self._open()
                try:
                    async with asyncio.timeout(DEADLINE_SECONDS):
                        stays = await self._make(one, connection)
                except UnansweredError:
                    stays = False
                    connection.close()
                    connection = None
                    continue
                break
            if not stays:
                connection.close()
                connection = None
            self.done += 1
        if connection is not None:
            connection.close()

    async def _open(self) -> _Connection:
        self.connections += 1
        return _Connection(*await asyncio.open_connection("127.0.0.1", self._port))

    async def _make(self, one: Planned, connection: _Connection) -> bool:
        connection.uses += 1
        if one.raw:
            return await self._misbehave(one, connection)
        self._next += 1
        name = f"t{self._next}"
        outcome = Outcome(one)
        try:
            stays = await self._ask(name, outcome, connection)
        except UnansweredError:
            assert connection.uses > 1, one
            self.unserved.append(name)
            raise
        self.outcomes[name] = outcome
        return stays and one.keeps

    async def _ask(self, name: str, outcome: Outcome, connection: _Connection) -> bool:
        one = outcome.planned
        connection.send(_head(one, name))
        if one.waits and one.chunks:
            if (await connection.head(outcome))[0] != 100:
                return await connection.body(outcome)
            outcome.status = 0
        if one.leaves == "sending":
            await self._leave_sending(name, outcome, connection)
            return False
        for number, piece in enumerate(_body(one)):
            connection.send(piece)
            await connection.drain()
            if one.pauses and not number:
                await connection.seen(self._ledger, name)
        if one.leaves == "waiting":
            await connection.seen(self._ledger, name)
            connection.leave(resets=one.resets)
            return False
        await connection.head(outcome)
        while 100 < outcome.status < 200 and outcome.status != 101:
            await connection.head(outcome)
        outcome.sent = one.body_bytes
        if one.leaves == "reading" and outcome.status == 200:
            outcome.received = len(await connection.some(10))
            connection.leave(resets=True)
            return False
        if outcome.status == 101:
            await connection.talk(outcome)
            return False
        return await connection.body(outcome)

    async def _leave_sending(self, name: str, outcome: Outcome, connection: _Connection) -> None:
        first, *_ = _body(outcome.planned)
        connection.send(first)
        await connection.seen(self._ledger, name)
        connection.leave(resets=outcome.planned.resets)

    async def _misbehave(self, one: Planned, connection: _Connection) -> bool:
        connection.send(one.raw)
        if one.leaves:
            connection.end()
        outcome = Outcome(one)
        await connection.head(outcome)
        method = "HEAD" if one.raw.startswith(b"HEAD") else "GET"
        await connection.body(outcome, method)
        self.nameless[outcome.status, outcome.error] += 1
        return False


class _Connection:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._framing = ""
        self._length = 0
        self._is_last = False
        self.uses = 0

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError:
            pass  # what was answered is read all the same

    def end(self) -> None:
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    def leave(self, *, resets: bool) -> None:
        if resets:
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
        self._writer.transport.abort()

    async def seen(self, ledger: Ledger, name: str) -> None:
        """Wait until an instance has the request, or this connection is found closed, unread."""
        waiting = asyncio.ensure_future(ledger.wait_for(name))
        reading = asyncio.ensure_future(self._reader.read(1))
        done, _ = await asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
        for one in (waiting, reading):
            one.cancel()
        await asyncio.gather(waiting, reading, return_exceptions=True)
        if waiting not in done:
            raise UnansweredError

    async def some(self, number: int) -> bytes:
        return await self._reader.readexactly(number)

    async def head(self, outcome: Outcome) -> tuple[int, dict[str, str]]:
        """
        Read the head of an answer.

        Raises:
            UnansweredError: there is none.
        """
        try:
            raw = await self._reader.readuntil(HEAD_END)
        except (asyncio.IncompleteReadError, OSError):
            raise UnansweredError from None
        first, *lines = raw.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        outcome.status = int(first.split(" ", 2)[1])
        outcome.error = headers.get("x-gateway-error")
        self._is_last = headers.get("connection") == "close"
        self._length = int(headers.get("content-length", "0"))
        self._framing = "length" if "content-length" in headers else "close"
        if "transfer-encoding" in headers:
            self._framing = "chunked"
        if first.startswith("HTTP/1.1") and outcome.planned.minor == 0:
            self._is_last |= headers.get("connection") != "keep-alive"
        return outcome.status, headers

    async def body(self, outcome: Outcome, method: str = "") -> bool:
        """Read the body of an answer; return whether the connection stays."""
        has_none = (method or outcome.planned.method) == "HEAD" or outcome.status in {204, 304}
        try:
            if has_none:
                pass
            elif self._framing == "chunked":
                await self._chunks(outcome)
            else:
                await self._bytes(outcome)
        except (asyncio.IncompleteReadError, OSError):
            return False
        outcome.is_whole = True
        return not self._is_last and (has_none or self._framing != "close")

    async def _bytes(self, outcome: Outcome) -> None:
        is_known = self._framing == "length"
        while not is_known or outcome.received < self._length:
            wanted = self._length - outcome.received if is_known else 65536
            data = await self._reader.read(wanted)
            outcome.received += len(data)
            if not data and is_known:
                raise asyncio.IncompleteReadError(b"", wanted)
            if not data:
                return

    async def _chunks(self, outcome: Outcome) -> None:
        while True:
            number = int(await self._reader.readuntil(b"\r\n"), 16)
            await self._reader.readexactly(number)
            await self._reader.readexactly(2)
            outcome.received += number
            if not number:
                return

    async def talk(self, outcome: Outcome) -> None:
        """Say something through a tunnel, hear it, and end."""
        number = outcome.planned.tunnel
        try:
            self.send(b"t" * number)
            outcome.received += len(await self._reader.readexactly(number))
            self.end()
            outcome.received += len(await self._reader.read())
        except (asyncio.IncompleteReadError, OSError):
            return
        outcome.sent = number
        outcome.is_whole = True


def _head(one: Planned, name: str) -> bytes:
    lines = [
        f"{one.method} {one.path} HTTP/1.{one.minor}",
        *("Host: test.example", f"X-Test-Id: {name}"),
        *(f"{header}: {value}" for header, value in one.headers.items()),
    ]
    if one.does:
        lines.append(f"X-Do: {one.does}")
    if one.tunnel:
        lines += ["Connection: Upgrade", "Upgrade: echo"]
    elif not one.keeps:
        lines.append("Connection: close")
    elif not one.minor:
        lines.append("Connection: keep-alive")
    if one.waits and one.chunks:
        lines.append("Expect: 100-continue")
    if one.chunks is not None:
        coding = "Transfer-Encoding: chunked"
        lines.append(coding if one.is_chunked else f"Content-Length: {one.body_bytes}")
    return "\r\n".join([*lines, "", ""]).encode()


def _body(one: Planned) -> list[bytes]:
    """Return the body in the pieces that are sent, with its framing."""
    chunks = list(one.chunks or ())
    if one.chunks is None or not one.is_chunked:
        return chunks
    pieces = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk]
    return [*pieces, b"what?\r\n" if one.kind == "bad body" else b"0\r\n\r\n"]
