"""TLS transports among themselves: they share buffers, and nothing of one is ever another's."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from fengling_gateway.dataplane.tls_failures import TlsFailure
from fengling_gateway.dataplane.tls_transport import TlsTransport
from tests.support.certificates import Authority

AUTHORITY = Authority()
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


class Wire:
    """The TCP transport of a connection: what was written, and how it ended."""

    def __init__(self) -> None:
        self.sent = b""
        self.ended: str | None = None

    def write(self, data: bytes) -> None:
        self.sent += data

    def take(self) -> bytes:
        sent, self.sent = self.sent, b""
        return sent

    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def loseConnection(self) -> None:
        self.ended = self.ended or "closed"

    def abortConnection(self) -> None:
        self.ended = "aborted"


class Received:
    """The protocol above: what it was given."""

    def __init__(self, connected: Callable[[], object]) -> None:
        self._connected = connected
        self.data = b""
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self._connected()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure) -> None: ...


class Connection:
    """A server's side that is tested, and a client with buffers of its own."""

    def __init__(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        connected: Callable[[], object] = lambda: None,
    ) -> None:
        self.wire = Wire()
        self.received = Received(connected)
        self.failures: list[TlsFailure] = []
        self.tls = TlsTransport(
            server,
            server_hostname=None,
            build=lambda _: self.received,
            failed=self.failures.append,
        )
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self._incoming, self._outgoing, server_hostname="a.example")
        self.tls.makeConnection(self.wire)

    def said(self) -> bytes:
        """What the client has to send by now, after what it was sent."""
        self._incoming.write(self.wire.take())
        try:
            self.client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self._outgoing.read()

    def encrypted(self, data: bytes) -> bytes:
        self.client.write(data)
        return self._outgoing.read()

    def ending(self) -> bytes:
        """The client's end."""
        with pytest.raises(ssl.SSLWantReadError):
            self.client.unwrap()
        return self._outgoing.read()

    def answer(self) -> bytes:
        """What the client reads of what it was sent."""
        self._incoming.write(self.wire.take())
        data = b""
        try:
            while True:
                data += self.client.read(1 << 20)
        except ssl.SSLWantReadError:
            return data

    def shake_hands(self) -> None:
        while self.received.transport is None:
            self.tls.dataReceived(self.said())
        self.said()
        assert not self.failures

    def works(self, mark: bytes) -> None:
        """Check that bytes pass both ways."""
        self.tls.dataReceived(self.encrypted(mark))
        assert self.received.data == mark
        self.tls.write(mark * 2)
        assert self.answer() == mark * 2


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    paths = AUTHORITY.issue("a.example").write(tmp_path, "a")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(paths["chain"], paths["key"])
    return server, ssl.create_default_context(cadata=AUTHORITY.pem.decode())


@VERSIONS
def test_bytes_of_many_come_one_by_one_in_turns(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    """Handshakes and records of several, a byte of each at a time, are kept apart."""
    contexts[1].maximum_version = version
    all_of_them = [Connection(*contexts) for _ in range(5)]

    def deliver(pieces: list[bytes]) -> None:
        for at in range(max(len(piece) for piece in pieces)):
            for one, piece in zip(all_of_them, pieces, strict=True):
                if at < len(piece):
                    one.tls.dataReceived(piece[at : at + 1])

    while not all(one.received.transport for one in all_of_them):
        deliver([one.said() for one in all_of_them])
    for one in all_of_them:
        one.said()
    bodies = [bytes([65 + number]) * (900 + 100 * number) for number in range(5)]
    deliver([one.encrypted(body) for one, body in zip(all_of_them, bodies, strict=True)])
    assert [one.received.data for one in all_of_them] == bodies
    for one, body in zip(all_of_them, bodies, strict=True):
        one.tls.write(body)
    assert [one.answer() for one in all_of_them] == bodies


@VERSIONS
def test_what_comes_behind_an_end_is_nobodys(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    """Bytes that one peer sends after its end disturb neither it nor another."""
    contexts[1].maximum_version = version
    one, other = Connection(*contexts), Connection(*contexts)
    one.shake_hands()
    other.shake_hands()
    one.tls.dataReceived(one.encrypted(b"last") + one.ending() + b"\x17\x03\x03\x00\x05more" * 9)
    assert one.received.data == b"last"
    assert one.wire.ended == "closed"
    other.works(b"undisturbed")


@VERSIONS
def test_what_comes_behind_a_broken_record_is_nobodys(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    """One peer's garbage costs that peer its connection, and no other."""
    contexts[1].maximum_version = version
    one, other = Connection(*contexts), Connection(*contexts)
    one.shake_hands()
    other.shake_hands()
    good = one.encrypted(b"good")
    broken = bytearray(one.encrypted(b"x" * 100))
    broken[-1] ^= 1
    one.tls.dataReceived(good + bytes(broken) + b"\x17\x03\x03\x00\x05more" * 9)
    assert one.received.data == b"good"
    assert one.wire.ended == "aborted"
    other.works(b"undisturbed")


def test_failed_handshake_leaves_nothing_to_the_next(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Nor do those that don't speak TLS, however much they say, and say on."""
    for noise in (b"GET / HTTP/1.1\r\n\r\n" * 100, b"\x16\x03\x01\x00\x05\0" + b"\xff" * 5000):
        one, other = Connection(*contexts), Connection(*contexts)
        one.tls.dataReceived(noise)
        one.tls.dataReceived(noise)
        assert len(one.failures) == 1
        other.shake_hands()
        other.works(b"undisturbed")


def test_others_may_have_their_turn_when_a_handshake_ends(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """A request in one segment with the handshake's end is kept while another connection is read."""
    other = Connection(*contexts)
    other.shake_hands()
    mark = b"undisturbed"
    one = Connection(*contexts, connected=lambda: other.works(mark))
    one.tls.dataReceived(one.said())
    one.tls.dataReceived(one.said() + one.encrypted(b"early"))
    assert one.received.data == b"early"
    assert other.received.data == mark


def test_nothing_is_left_of_a_write_that_fails(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """One that is closed sends nothing, and what it would have sent goes to nobody."""
    one, other = Connection(*contexts), Connection(*contexts)
    one.shake_hands()
    other.shake_hands()
    one.tls.loseConnection()
    one.wire.take()
    one.tls.write(b"too late")
    one.tls.connectionLost(Failure(ConnectionDone()))
    one.tls.write(b"far too late")
    assert one.wire.sent == b""
    other.works(b"undisturbed")
