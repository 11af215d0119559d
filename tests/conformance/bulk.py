"""Bodies of gigabytes, of which each place is known, and who sends, reads and stalls them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.dataplane.processes import Gateway, forwarding, running_gateway, running_instance
from tests.dataplane.snapshots import Entity
from tests.support.certificates import Authority
from tests.support.wait import wait_until

BLOCK_BYTES: Final = 1_000_003
"""Of noise, with its place at the beginning; no boundary of anything else is one of these."""

CHUNK_BYTES: Final = 300_007
PIECE_BYTES: Final = 1 << 18
WAIT_SECONDS: Final = 600

_NOISE: Final = Random(2026).randbytes(BLOCK_BYTES)
_AUTHORITY: Final = Authority()
_HOST: Final = "bulk.example"


def blocks(length: int, size: int = BLOCK_BYTES) -> Iterator[memoryview]:
    """The body of this length in pieces of at most this size, each good until the next."""
    block = bytearray(_NOISE)
    for start in range(0, length, BLOCK_BYTES):
        block[:8] = start.to_bytes(8, "big")
        whole = memoryview(block)[: length - start]
        for at in range(0, len(whole), size):
            yield whole[at : at + size]


class Check:
    """
    Compares what arrives with what `blocks` gives.

    Attributes:
        received: so many bytes; ``right``: so many of them, up to the first wrong piece.
    """

    def __init__(self) -> None:
        self.received = self.right = 0
        self._block = bytearray(_NOISE)

    def take(self, data: bytes) -> None:
        """Compare what comes next."""
        while data:
            at = self.received % BLOCK_BYTES
            self._block[:8] = (self.received - at).to_bytes(8, "big")
            piece = data[: BLOCK_BYTES - at]
            if self.right == self.received and self._block.startswith(piece, at):
                self.right += len(piece)
            self.received += len(piece)
            data = data[len(piece) :]


class Peer:
    """One end of a connection: messages in, messages out."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A thousand of them are not to use up what memory the system has for TCP.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE_BYTES)
        self.connection = connection
        self._file: Any = connection.makefile("rb", buffering=PIECE_BYTES)

    def close(self) -> None:
        self._file.close()
        self.connection.close()

    # Reading

    def head(self) -> bytes:
        """The next head, in lower case; empty at the end."""
        return b"\r\n".join(iter(self._line, b"")).lower()

    def body(self, head: bytes, check: Check) -> None:
        """Read the body of the message with this head."""
        if b"\r\ntransfer-encoding: chunked" not in head:
            self.part(int(value(head, b"content-length")), check)
            return
        while size := int(self._line(), 16):
            self.part(size, check)
            assert self._line() == b""
        assert self._line() == b""

    def part(self, length: int, check: Check) -> None:
        """Read so much of a body."""
        while length:
            piece = self._file.read1(min(length, PIECE_BYTES))
            if not piece:
                raise ConnectionError("closed in the middle of a body")
            check.take(piece)
            length -= len(piece)

    def _line(self) -> bytes:
        line: bytes = self._file.readline()
        return line.removesuffix(b"\r\n")

    # Sending

    def send(self, begin: bytes, length: int, framing: str) -> None:
        """Send a message with a body of this length, whose head begins like this."""
        send = self.connection.sendall
        if framing == "length":
            send(begin + b"Content-Length: %d\r\n\r\n" % length)
            for piece in blocks(length):
                send(piece)
            return
        send(begin + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in blocks(length, CHUNK_BYTES):
            send(b"%x\r\n" % len(piece))
            send(piece)
            send(b"\r\n")
        send(b"0\r\n\r\n")

    # What a client does

    def download(self, length: int, framing: str = "length") -> None:
        """Ask for a body."""
        target = b"/%b/%d" % (framing.encode(), length)
        self.connection.sendall(b"GET %b HTTP/1.1\r\nHost: bulk.example\r\n\r\n" % target)

    def answered(self) -> bytes:
        """The head of the answer, which is good."""
        head = self.head()
        assert head.startswith(b"http/1.1 200 "), head
        return head

    def downloaded(self) -> int:
        """Read the answer to a download; how long it is, if all of it is right."""
        check = Check()
        self.body(self.answered(), check)
        assert check.right == check.received
        return check.received

    def upload(self, length: int, framing: str = "length") -> None:
        """Send a body."""
        self.send(b"POST /up HTTP/1.1\r\nHost: bulk.example\r\n", length, framing)

    def uploaded(self) -> int:
        """How much of an upload has arrived, and was right, as the instance says."""
        return int(value(self.answered(), b"x-right"))


def value(head: bytes, name: bytes) -> bytes:
    """Of a header that is there."""
    return head.split(b"\r\n" + name + b": ")[1].split(b"\r\n")[0]


class BulkInstance:
    """
    Gives bodies, and takes them once it may.

    Attributes:
        may_read: whether it reads bodies.
    """

    def __init__(self) -> None:
        self.may_read = threading.Event()
        self.may_read.set()

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection to its end."""
        peer = Peer(connection)
        while head := peer.head():
            if head.startswith(b"get "):
                _, framing, length = head.split(b" ")[1].decode().split("/")
                peer.send(b"HTTP/1.1 200 OK\r\n", int(length), framing)
                continue
            self.may_read.wait(WAIT_SECONDS)
            check = Check()
            peer.body(head, check)
            verdict = b"Content-Length: 0\r\nX-Right: %d\r\n\r\n" % check.right
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + verdict)


class Bulk:
    """A running gateway with an instance for large bodies."""

    def __init__(
        self, gateway: Gateway, instance: BulkInstance, context: ssl.SSLContext | None
    ) -> None:
        self.gateway = gateway
        self.instance = instance
        self._context = context

    def connect(self) -> Peer:
        """A new client."""
        plain = self.gateway.connect()
        plain.settimeout(WAIT_SECONDS)
        if self._context is None:
            return Peer(plain)
        wrap = self._context.wrap_socket
        return Peer(wrap(plain, server_hostname=_HOST, suppress_ragged_eofs=False))

    def exchange(self, way: str, framing: str, length: int) -> int:
        """Send a body up or down; how much of it has arrived, and was right."""
        client = self.connect()
        try:
            if way == "down":
                client.download(length, framing)
                return client.downloaded()
            client.upload(length, framing)
            return client.uploaded()
        finally:
            client.close()

    def counter(self, name: str) -> int:
        number: int = self.gateway.ask()["counters"][name]
        return number

    def failures(self) -> dict[str, int]:
        """How often exchanges have failed, by code."""
        failures: Counter[str] = Counter()
        for *_, errors in self.gateway.ask()["counters"]["requests"]:
            failures.update(errors)
        return dict(failures)

    def when(self, name: str, number: int) -> None:
        """Wait until a counter is this."""
        wait_until(lambda: self.counter(name) == number, timeout=120, interval=0.1)

    def when_still(self, name: str) -> int:
        """A counter, once it moves no more."""
        last = -1

        def stands_still() -> bool:
            nonlocal last
            before, last = last, self.counter(name)
            return before == last

        wait_until(stands_still, interval=0.5, timeout=60)
        return last


@contextmanager
def running_bulk(*more: Entity, directory: Path | None = None, **settings: Any) -> Iterator[Bulk]:
    """
    Run a gateway, which logs no traceback, and an instance.

    Args:
        directory: for a certificate; None: without TLS.
    """
    instance = BulkInstance()
    context = None
    if directory is not None:
        files = _AUTHORITY.issue(_HOST).write(directory, "bulk")
        settings["listeners"] = {"http": {"tls": {"certificates": [files]}}}
        context = ssl.create_default_context(cadata=_AUTHORITY.pem.decode())
    with (
        running_instance(instance.serve) as address,
        running_gateway(*forwarding(address, *more), **settings) as gateway,
    ):
        try:
            yield Bulk(gateway, instance, context)
        finally:
            instance.may_read.set()
