"""Requests and answers that are nearly right: seeds, and what changes them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from tests.conformance.client import post, post_chunks, request
from tests.conformance.instance import chunked, head, ok

SEEDS: Final = (
    request(b"X: y", b"Accept: */*"),
    request(b"Cookie: a=b; c=d", target=b"/a/b%20c?d=e&f=%zz"),
    request(b"Connection: close, X-Hop", b"X-Hop: 1", method=b"DELETE"),
    request(b"Connection: keep-alive", version=b"HTTP/1.0"),
    request(target=b"http://example.com/x?y"),
    request(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"),
    request(b"Expect: 100-continue", b"Content-Length: 5", method=b"PUT", body=b"hello"),
    post(b"hello world", b"Content-Type: text/plain"),
    post(b"GET /inner HTTP/1.1\r\nHost: example.com\r\n\r\n"),
    post_chunks(b"hello", b"world" * 10),
    request(
        b"Transfer-Encoding: chunked", b"Trailer: X", method=b"POST",
        body=b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    ),
    request(b"X-Tenant-Id: a", b"X_Tenant_Id: b", b"X-Forwarded-For: 1.2.3.4"),
)  # fmt: skip

_MORSELS: Final = (
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\0",
        b" ",
        b"\t",
        b"\x0b",
        b"\x7f",
        b"\x80",
        b"\xff",
        b":",
        b";",
        b",",
    ),
    *(
        b"\r\n\r\n",
        b"\n\n",
        b"\r\n ",
        b"\r\r\n",
        b"0\r\n\r\n",
        b"%",
        b"%00",
        b"%2e%2e",
        b"../",
        b"//",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length:\r\n",
        b"Content-Length",
    ),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding"),
    *(
        b"Host: evil\r\n",
        b"Host:\r\n",
        b"Connection: close\r\n",
        b"Connection: Host, X\r\n",
        b"chunked",
    ),
    *(
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"CONNECT x:1 ",
    ),
    *(
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
        b"+",
        b"-",
        b"0x",
        b"_",
        b"5",
        b"f" * 17,
        b"#",
    ),
)


def _insert(raw: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice(_MORSELS) + raw[at:]


def _replace(raw: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + rng.choice(_MORSELS) + raw[at + 1 :]


def _delete(raw: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + raw[at + rng.randrange(1, 4) :]


def _flip(raw: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + bytes((raw[at] ^ 1 << rng.randrange(8),)) + raw[at + 1 :]


def _swap_lines(raw: bytes, rng: Random) -> bytes:
    lines = raw.split(b"\r\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def _repeat_line(raw: bytes, rng: Random) -> bytes:
    lines = raw.split(b"\r\n")
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return b"\r\n".join(lines)


def _other_end(raw: bytes, rng: Random) -> bytes:
    other = rng.choice(SEEDS)
    return raw[: rng.randrange(len(raw))] + other[rng.randrange(len(other)) :]


_CHANGES: Final[tuple[Callable[[bytes, Random], bytes], ...]] = (
    *(_insert, _insert, _insert, _replace, _replace, _delete, _flip, _swap_lines, _repeat_line),
    _other_end,
)


def mutant(rng: Random) -> bytes:
    """A request with one to four changes."""
    return changed(rng, rng.choice(SEEDS), rng.randrange(1, 5))


def changed(rng: Random, raw: bytes, changes: int) -> bytes:
    """The same with so many changes."""
    for _ in range(changes):
        raw = rng.choice(_CHANGES)(raw, rng) or raw
    return raw


def pipelined(rng: Random) -> bytes:
    """Two to five requests, one of them changed."""
    raws = [rng.choice(SEEDS) for _ in range(rng.randrange(2, 6))]
    raws[rng.randrange(len(raws))] = mutant(rng)
    return b"".join(raws)


# Upgrades

_PROTOCOLS: Final = (b"websocket", b"websocket", b"WebSocket", b"irc", b"h2c", b"websocket, irc")
_OPTIONS: Final = (b"Upgrade", b"upgrade", b"keep-alive, Upgrade", b"Upgrade, X-Hop", b"close")


def upgrade(rng: Random, target: bytes) -> bytes:
    """A request for an upgrade, with none to three changes in the lines that make it one."""
    lines = [
        b"Upgrade: " + rng.choice(_PROTOCOLS),
        b"Connection: " + rng.choice(_OPTIONS),
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        lines[at] = changed(rng, lines[at], 1)
    return request(*lines, target=target)


# Answers

_ANSWERS: Final = (
    ok(b"hello"),
    ok(b"hello", b"Connection: close", b"Set-Cookie: a=b"),
    chunked(b"hello", b"world"),
    head(b"Transfer-Encoding: chunked", b"Trailer: X") + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    head(b"Content-Length: 20") + b"x",
    head() + b"until the end",
    head(status=b"204 No Content"),
    head(status=b"100 Continue") + ok(b"hello"),
    head(b"Link: </x>", status=b"103 Early Hints") + chunked(b"hello"),
    head(b"Upgrade: websocket", b"Connection: Upgrade", status=b"101 Switching Protocols"),
    ok(b"hello", b"Upgrade: websocket", b"Connection: Upgrade"),
    ok(b"no", b"Upgrade: websocket", b"Connection: Upgrade", status=b"426 Upgrade Required"),
)
_ANSWER_MORSELS: Final = (
    *(b"\r", b"\n", b"\0", b":", b"9", b"", b"f", b" ", b"\r\n", b"\r\n\r\n", b"\xff"),
    *(b"101", b"HTTP/1.0", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Upgrade: h2c\r\n", b"Connection: close\r\n", b"Keep-Alive: timeout=1\r\n"),
)


def mutated_answer(rng: Random) -> bytes:
    """An answer with one to three changes."""
    return changed_answer(rng, rng.choice(_ANSWERS))


def changed_answer(rng: Random, answer: bytes) -> bytes:
    """This one with one to three changes."""
    raw = bytearray(answer)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(raw) + 1)
        raw[at : at + rng.randrange(3)] = rng.choice(_ANSWER_MORSELS)
    return bytes(raw)
