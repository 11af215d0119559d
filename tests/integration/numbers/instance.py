"""An instance that does what each request asks of it, and keeps a ledger of what it was asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"
HELD_LENGTH = 1_000_000
"""What answers promise that never end."""


@dataclass
class Asked:
    """
    An attempt, as the instance saw it.

    Attributes:
        address: of the instance.
        received, sent: bytes of bodies, or of a tunnel.
        is_whole: whether all of the request arrived.
        is_over: whether it answered, and cut off nothing, as far as it meant to.
    """

    address: str
    method: str
    target: str
    received: int = 0
    sent: int = 0
    status: int = 0
    is_whole: bool = False
    is_over: bool = False


class Ledger:
    """
    What instances were asked: attempts by the id of the request, in their order.

    Attributes:
        connections: that are open.
    """

    def __init__(self) -> None:
        self.asked: defaultdict[str, list[Asked]] = defaultdict(list)
        self.connections: set[asyncio.Transport] = set()
        self._waiting: dict[str, asyncio.Event] = {}

    def add(self, name: str, asked: Asked) -> None:
        self.asked[name].append(asked)
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            waiting.set()

    async def close(self) -> None:
        """Break all connections off, and wait until they are closed."""
        for one in self.connections:
            one.abort()
        while self.connections:  # noqa: ASYNC110  (nobody tells of it)
            await asyncio.sleep(0)

    async def wait_for(self, name: str) -> None:
        """Wait until an instance has the head of a request."""
        if name not in self.asked:
            await self._waiting.setdefault(name, asyncio.Event()).wait()


class Connection(asyncio.Protocol):
    """
    A connection of the gateway to an instance.

    What a request wants is in its header X-Do: a word and its arguments. Bodies are as long
    as the request says; ``length``, ``chunked`` or ``close`` is how they are framed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._address = ""
        self._ledger = ledger
        self._raw = b""
        self._uses = 0
        self._asked: Asked | None = None
        self._body: _Length | _Chunked | None = None
        self._do: list[str] = []
        self._is_tunnel = False
        self._transport: asyncio.Transport = None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._address = "http://{}:{}".format(*transport.get_extra_info("sockname"))
        self._ledger.connections.add(self._transport)

    def connection_lost(self, reason: Exception | None) -> None:
        self._ledger.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._is_tunnel:
            self._echo(data)
            return
        self._raw += data
        while self._raw and not self._is_tunnel and not self._transport.is_closing():
            if not (self._read_body() if self._asked else self._read_head()):
                return

    def eof_received(self) -> bool:
        return False  # closes; of a tunnel, after all of the echo

    # The request

    def _read_head(self) -> bool:
        head, found, rest = self._raw.partition(HEAD_END)
        if not found:
            return False
        self._raw = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        method, target, _ = first.split(" ")
        self._do = headers.get("x-do", "answer 200 0 length").split()
        self._uses += 1
        asked = self._asked = Asked(self._address, method, target)
        self._body = _body_of(headers)
        self._ledger.add(headers.get("x-test-id", ""), asked)
        if "expect" in headers:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._do[0] == "early":
            self._answer(*self._do[1:])
            self._asked = asked  # its body is read nevertheless
            self._do = ["nothing"]
        elif self._do[0] == "tunnel":
            self._begin_tunnel(headers.get("upgrade", ""))
            return True
        return self._read_body()

    def _read_body(self) -> bool:
        asked, body = self._asked, self._body
        assert asked is not None
        assert body is not None
        rest = body.feed(self._raw)
        asked.received = body.received
        self._raw = rest or b""
        if rest is None:
            return False
        asked.is_whole = True
        word, *arguments = self._do
        getattr(self, f"_{word}")(*arguments)
        return True

    # What it may be asked to do

    def _nothing(self) -> None:
        self._asked = None

    def _hold(self) -> None:
        """Never answer."""

    def _close(self) -> None:
        self._transport.close()

    def _close_kept(self) -> None:
        """Close a connection that was kept; answer on a new one."""
        if self._uses > 1:
            self._transport.close()
        else:
            self._answer("200", "10", "length")

    def _garbage(self) -> None:
        self._transport.write(b"what?\r\n\r\n")

    def _interim(self, *arguments: str) -> None:
        self._transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        self._answer(*arguments)

    def _answer(self, status: str, size: str, framing: str) -> None:
        asked = self._asked
        assert asked is not None
        asked.status, number = int(status), int(size)
        if asked.method == "HEAD" or asked.status in {204, 304}:
            length = b"" if asked.status == 204 else b"Content-Length: %d\r\n" % number
            self._transport.write(_head(asked.status, length))
        else:
            self._transport.write(_head(asked.status, _framing(framing, number)))
            self._send(number, framing)
            if framing == "chunked":
                self._transport.write(b"0\r\n\r\n")
            elif framing == "close":
                self._transport.close()
        asked.is_over = True
        self._asked = None

    def _cut(self, size: str, framing: str) -> None:
        """Answer less than was promised."""
        self._held(size, framing)
        self._transport.close()

    def _held(self, size: str, framing: str) -> None:
        """Answer a part, and then nothing."""
        asked = self._asked
        assert asked is not None
        asked.status = 200
        self._transport.write(_head(200, _framing(framing, HELD_LENGTH)))
        self._send(int(size), framing)
        asked.is_over = True

    def _send(self, number: int, framing: str) -> None:
        asked = self._asked
        assert asked is not None
        asked.sent += number
        body = b"x" * number
        if framing == "chunked" and number:
            body = b"%x\r\n%b\r\n" % (number, body)
        self._transport.write(body)

    def _begin_tunnel(self, protocol: str) -> None:
        asked = self._asked
        assert asked is not None
        asked.status = 101
        asked.is_whole = asked.is_over = self._is_tunnel = True
        lines = f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n".encode()
        self._transport.write(b"HTTP/1.1 101 Switching Protocols\r\n" + lines + b"\r\n")
        early, self._raw = self._raw, b""
        if early:
            self._echo(early)

    def _echo(self, data: bytes) -> None:
        asked = self._asked
        assert asked is not None
        asked.received += len(data)
        asked.sent += len(data)
        self._transport.write(data)


class _Length:
    """Reads a body of a known length; returns what follows, None while it goes on."""

    def __init__(self, length: int) -> None:
        self.received = 0
        self._left = length

    def feed(self, data: bytes) -> bytes | None:
        taken = min(self._left, len(data))
        self._left -= taken
        self.received += taken
        return None if self._left else data[taken:]


class _Chunked:
    """Reads a chunked body in the same way; what is received are whole chunks."""

    def __init__(self) -> None:
        self.received = 0
        self._raw = b""

    def feed(self, data: bytes) -> bytes | None:
        self._raw += data
        while True:
            size, found, rest = self._raw.partition(b"\r\n")
            number = int(size, 16) if found else 0
            if not found or len(rest) < number + 2:
                return None
            self._raw = rest[number + 2 :]
            self.received += number
            if not number:
                return self._raw


def _body_of(headers: dict[str, str]) -> _Length | _Chunked:
    if "transfer-encoding" in headers:
        return _Chunked()
    return _Length(int(headers.get("content-length", "0")))


def _head(status: int, lines: bytes) -> bytes:
    return b"HTTP/1.1 %d Said\r\n%b\r\n" % (status, lines)


def _framing(framing: str, number: int) -> bytes:
    return {
        "length": b"Content-Length: %d\r\n" % number,
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "close": b"Connection: close\r\n",
    }[framing]
