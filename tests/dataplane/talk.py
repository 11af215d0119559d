"""What clients may ask and instances may answer, at random; and how either is read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

WEBSOCKET = b"websocket"


@dataclass(eq=False)
class Asked:
    """
    A request.

    Attributes:
        name: its target, which no other request has.
        protocol: that it asks to go on in; empty for none.
        is_whole: False where it is malformed, and can't be forwarded to its end.
        seen: how often its head has arrived at an instance.
        answers: what instances have begun to say to it.
    """

    name: bytes
    method: bytes
    minor: int
    body: bytes
    protocol: bytes
    raw: bytes
    is_whole: bool = True
    seen: int = 0
    answers: list[Said] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Asked {self.raw[:200]!r} seen={self.seen} {self.answers}>"


@dataclass(eq=False)
class Said:
    """
    An answer of an instance.

    Attributes:
        raw: its bytes; ``then`` is what the instance does after them: nothing, or an end.
        is_whole: whether it is an answer at all when everything has been said.
        is_all_said: whether that has happened.
        was_cut_short: whether the connection has ended before, where its end is the answer's.
        tunnel: what the instance has said after a 101.
    """

    status: int
    raw: bytes
    body: bytes
    is_whole: bool = True
    ends_with_connection: bool = False
    then: str = ""
    is_all_said: bool = False
    was_cut_short: bool = False
    tunnel: bytearray = field(default_factory=bytearray)

    def __repr__(self) -> str:
        known = f"whole={self.is_whole} said={self.is_all_said} then={self.then}"
        return f"<Said {self.raw[:100]!r} of {len(self.raw)} {known} tunnel={self.tunnel[:50]!r}>"


def fill(rng: Random, name: bytes) -> bytes:
    """A body that shows whose it is."""
    size = rng.choice((0, 0, 1, 10, 10, 10, 300, 300, 5000, 30_000))
    return (name + b" ") * (size // len(name)) + name[: size % len(name)]


def chunks(rng: Random, body: bytes) -> bytes:
    pieces = []
    while body:
        size = rng.randrange(1, len(body) + 1)
        pieces.append(b"%x\r\n%b\r\n" % (size, body[:size]))
        body = body[size:]
    return b"".join(pieces) + b"0\r\n\r\n"


def random_request(rng: Random, name: bytes) -> Asked:
    """Any request; of twenty one is malformed."""
    method = rng.choice((b"GET", b"GET", b"HEAD", b"POST", b"POST", b"PUT", b"DELETE"))
    minor = 0 if rng.random() < 0.1 else 1
    lines = [b"%b %b HTTP/1.%d" % (method, name, minor), b"Host: h"]
    if minor == 0 and rng.random() < 0.5:
        lines.append(b"Connection: keep-alive")
    elif rng.random() < 0.1:
        lines.append(b"Connection: close")
    body, protocol, encoded = b"", b"", b""
    if method in {b"POST", b"PUT"}:
        body = fill(rng, name)
        if minor and rng.random() < 0.5:
            lines.append(b"Transfer-Encoding: chunked")
            encoded = chunks(rng, body)
        else:
            lines.append(b"Content-Length: %d" % len(body))
            encoded = body
        if rng.random() < 0.15:
            lines.append(b"Expect: 100-continue")
    elif minor and method == b"GET" and rng.random() < 0.3:
        protocol = rng.choice((WEBSOCKET, b"irc"))
        lines += (b"Upgrade: " + protocol, b"Connection: Upgrade")
    asked = Asked(name, method, minor, body, protocol, b"")
    if rng.random() < 0.05:
        asked.is_whole = False
        if encoded and encoded is not body:
            encoded = encoded[:-5] + b"zz\r\n"
        else:
            lines.append(b"Content-Length: 1,2")
    asked.raw = b"\r\n".join(lines) + b"\r\n\r\n" + encoded
    return asked


def words(rng: Random, name: bytes) -> bytes:
    """Something to say in a tunnel: frames, or what looks like anything."""
    said = (name + b"|") * rng.choice((1, 1, 20, 500))
    if rng.random() < 0.7:
        said = said[:125]
        return bytes((0x82, len(said))) + said
    return said + rng.choice((b"", b"GET /evil HTTP/1.1\r\nHost: h\r\n\r\n", b"\0\xff"))


_MALFORMED = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 99 No\r\n\r\n",
    b"\x16\x03\x01\x02\x00garbage\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 103 Hint\r\n\r\n" * 40,
)


def plain_answer(rng: Random, asked: Asked) -> Said:
    """An answer that leaves the connection fit for another request."""
    body = b"" if asked.method == b"HEAD" else fill(rng, asked.name)
    head = b"HTTP/1.1 200 Any\r\nX-For: %b\r\nContent-Length: %d\r\n\r\n"
    return Said(200, head % (asked.name, len(body)) + body, body)


def random_answer(rng: Random, asked: Asked) -> Said:
    """Any answer to this request, good ones most often."""
    if asked.protocol and rng.random() < 0.7:
        return _switch(rng, asked)
    if rng.random() < 0.06:
        raw = rng.choice(_MALFORMED).replace(b"\r\n", b"\r\nX-For: %b\r\n" % asked.name, 1)
        return Said(200, raw, b"hello", is_whole=False, then=_end(rng))
    lines = [b"X-For: " + asked.name]
    status = rng.choice((200, 200, 200, 404, 500, 204, 304))
    has_body = asked.method != b"HEAD" and status not in {204, 304}
    body = fill(rng, asked.name) if has_body else b""
    said = Said(status, b"", body)
    encoded = body
    way = rng.random()
    if not has_body:
        pass
    elif way < 0.35:
        lines.append(b"Transfer-Encoding: chunked")
        encoded = chunks(rng, body)
    elif way < 0.45:
        said.ends_with_connection = True
        said.then = rng.choice(("close", "half-close", "reset"))
        said.is_whole = said.then != "reset"
    else:
        lines.append(b"Content-Length: %d" % len(body))
    if rng.random() < 0.1:
        lines.append(b"Connection: close")
        said.then = said.then or "close"
    elif rng.random() < 0.1:
        said.then = said.then or _end(rng)
    interim = rng.choice((b"", b"", b"", b"100 Continue", b"103 Hint", b"102 Wait"))
    head = b"HTTP/1.1 %b\r\nX-For: %b\r\n\r\n" % (interim, asked.name) if interim else b""
    head += b"HTTP/1.1 %d Any\r\n" % status + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    said.raw = head + encoded
    return _spoilt(rng, said)


def _spoilt(rng: Random, said: Said) -> Said:
    """Now and then too short or too long."""
    way = rng.random()
    if way < 0.05 and not said.ends_with_connection:
        said.raw = said.raw[: -rng.randrange(1, 20)]
        said.is_whole = False
        said.then = said.then or rng.choice(("close", "reset", "half-close", ""))
    elif way < 0.08 and not said.ends_with_connection:
        said.raw += b"HTTP/1.1 200 OK\r\nX-For: nobody\r\nContent-Length: 6\r\n\r\nnobody"
    return said


def _switch(rng: Random, asked: Asked) -> Said:
    raw = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: %b\r\nX-For: %b\r\n\r\n"
    said = Said(101, raw % (asked.protocol, asked.name), b"")
    if rng.random() < 0.3:
        said.tunnel += words(rng, asked.name)
        said.raw += said.tunnel
    return said


def _end(rng: Random) -> str:
    return rng.choice(("", "close", "half-close", "reset"))


@dataclass
class Answer:
    """
    What a client has received.

    Attributes:
        is_complete: by its framing; None where only the connection's end can tell.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    is_complete: bool | None
    rest: bytes


def read_answer(data: bytes, method: bytes) -> Answer | None:
    """The final answer, or 101, at the beginning of what was received; None before its head's end."""
    while True:
        head, end, data = data.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.split(b"\r\n")
        assert first[:9] == b"HTTP/1.1 ", first
        status = int(first[9:12])
        if status >= 200 or status == 101:
            break
    headers = dict(line.split(b": ", 1) for line in lines)
    if status == 101:
        return Answer(101, headers, b"", True, data)
    if method == b"HEAD" or status in {204, 304}:
        return Answer(status, headers, b"", True, data)
    if b"Content-Length" in headers:
        length = int(headers[b"Content-Length"])
        return Answer(status, headers, data[:length], len(data) >= length, data[length:])
    if b"Transfer-Encoding" not in headers:
        return Answer(status, headers, data, None, b"")
    body, is_complete, data = read_chunks(data)
    return Answer(status, headers, body, is_complete, data)


def read_chunks(data: bytes) -> tuple[bytes, bool, bytes]:
    """What is in the chunks, whether the last is among them, and what follows it."""
    body = b""
    while True:
        line, end, rest = data.partition(b"\r\n")
        if not end:
            return body, False, data
        size = int(line, 16)
        if not size:
            return body, rest[:2] == b"\r\n", rest[2:]
        body += rest[:size]
        if len(rest) < size + 2:
            return body, False, rest[size:]
        assert rest[size : size + 2] == b"\r\n"
        data = rest[size + 2 :]
