"""How bytes get to the gateway: in which pieces, behind which headers, in which records."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from random import Random
from typing import Any

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"
LONGER_LINE = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n"
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + b"\x9c\x40\x01\xbb"
BINARY = _SIGNATURE + b"\x21\x11\x00\x0c" + _ADDRESSES
NOTED = _SIGNATURE + b"\x21\x11\x00\x14" + _ADDRESSES + b"\x04\x00\x05\0\0\0\0\0"
LOCAL = _SIGNATURE + b"\x20\x00\x00\x00"

PROXY_HEADERS = (LINE, LONGER_LINE, b"PROXY UNKNOWN\r\n", BINARY, NOTED, LOCAL)


def proxy_header(rng: Random) -> bytes:
    """A PROXY header; of three one is changed, and of ten there is none."""
    header = rng.choice(PROXY_HEADERS)
    way = rng.random()
    if way < 0.1:
        return b""
    return spoilt(rng, header) if way < 0.4 else header


def spoilt(rng: Random, data: bytes) -> bytes:
    """The same with one byte changed, missing or too many, or a part missing or repeated."""
    at = rng.randrange(len(data))
    way = rng.randrange(5)
    if way == 0:
        return data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
    if way == 1:
        return data[:at] + data[at + 1 :]
    if way == 2:
        return data[:at] + rng.randbytes(1) + data[at:]
    if way == 3:
        return data[:at]
    return data[:at] + data[rng.randrange(len(data)) :]


def segments(rng: Random, data: bytes) -> list[bytes]:
    """Cut at none to five places; sometimes the first bytes one by one."""
    if rng.random() < 0.1:
        at = rng.randrange(min(len(data), 50) + 1)
        return [*(data[one : one + 1] for one in range(at)), data[at:]]
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 2, 5))))
    return [data[one:other] for one, other in zip([0, *cuts], [*cuts, len(data)], strict=True)]


class TlsSocket:
    """
    A client's TLS connection, of which a test may spoil every record.

    Attributes:
        mangle: what becomes of bytes on their way to the gateway.
        says_the_end: whether an end is told by a close_notify.
    """

    def __init__(
        self,
        plain: socket.socket,
        context: ssl.SSLContext,
        mangle: Callable[[bytes], bytes] = lambda data: data,
    ) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="a.example")
        self.mangle = mangle
        self.says_the_end = True

    def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            else:
                self._flush()
                return

    def setsockopt(self, *option: Any) -> None:
        self._plain.setsockopt(*option)

    def sendall(self, data: bytes) -> None:
        if data:
            self._tls.write(data)
            self._flush()

    def recv(self, most: int) -> bytes:
        while True:
            try:
                return self._tls.read(most)
            except ssl.SSLWantReadError:
                self._receive()
            except ssl.SSLZeroReturnError:
                return b""

    def shutdown(self, how: int) -> None:
        """End our side."""
        if self.says_the_end:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # the peer has not ended yet
            self._flush()
        self._plain.shutdown(how)

    def close(self) -> None:
        self._plain.close()

    def reset(self) -> None:
        reset(self._plain)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._plain.sendall(self.mangle(data))

    def _receive(self) -> None:
        data = self._plain.recv(65536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def reset(plain: socket.socket) -> None:
    """Close so that the peer gets a reset."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()


# Records


def client_hello(context: ssl.SSLContext) -> bytes:
    """The first bytes of a handshake."""
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a.example")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def no_hello(rng: Random, context: ssl.SSLContext) -> bytes:
    """What comes in place of a handshake's beginning, or that with changes."""
    way = rng.random()
    if way < 0.2:
        return rng.randbytes(rng.randrange(1, 600))
    if way < 0.3:
        return b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
    if way < 0.5:
        kind, length = rng.choice((20, 21, 22, 22, 23, 24, 99)), rng.choice((0, 2, 16384, 65535))
        return bytes((kind, 3, rng.randrange(5))) + length.to_bytes(2) + rng.randbytes(20)
    hello = client_hello(context)
    for _ in range(rng.randrange(1, 4)):
        hello = spoilt(rng, hello) or hello
    return hello


class Spoiler:
    """Spoils one of the next so many pieces of what a client sends."""

    def __init__(self, rng: Random, most: int) -> None:
        self._rng = rng
        self._left = rng.randrange(most)

    def __call__(self, data: bytes) -> bytes:
        self._left -= 1
        if self._left != -1:
            return data
        return data + data if self._rng.random() < 0.2 else spoilt(self._rng, data)
