"""Transports that send at once, over real sockets."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import defer, protocol, ssl, task
from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from fengling_gateway.dataplane.ports import Doorkeeper
from fengling_gateway.dataplane.transports import FastTransports, StockTransports, Transports
from tests.support.wait import eventually


class Recording(protocol.Protocol):
    """Remembers what it got."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Any = None
        self.ended: defer.Deferred[None] = defer.Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason
        self.ended.callback(None)


@implementer(IPushProducer)
class Producer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class FastTransportsTests(TestCase):
    """Each test has a connected pair: `near` is sent on, `far` is what it is connected to."""

    timeout = 20

    def transports(self) -> Transports:
        return FastTransports(high_water_bytes=64 * 1024, low_water_bytes=32 * 1024)

    @defer.inlineCallbacks
    def setUp(self) -> Any:
        from twisted.internet import reactor  # noqa: TID251 - these tests are about real sockets

        self.reactor = reactor
        self.near = Recording()
        self.far = Recording()
        transports = self.transports()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.addCleanup(listening.close)
        accepting = Doorkeeper()
        accepting.buildProtocol = lambda _: self.near  # type: ignore[method-assign, assignment]
        port = transports.listen(self.reactor, listening, accepting)
        self.addCleanup(port.stopListening)
        connecting = protocol.ClientFactory()
        connecting.buildProtocol = lambda _: self.far  # type: ignore[method-assign, assignment]
        transports.connect(self.reactor, "127.0.0.1", listening.getsockname()[1], connecting)
        yield eventually(self.reactor, lambda: self.near.transport and self.far.transport)
        self.addCleanup(self.part)

    @defer.inlineCallbacks
    def part(self) -> Any:
        for end in (self.near, self.far):
            if end.lost is None:
                end.transport.abortConnection()
        yield defer.DeferredList([self.near.ended, self.far.ended])

    @defer.inlineCallbacks
    def test_written_bytes_arrive(self) -> Any:
        """What is written arrives, also in several pieces and both ways."""
        self.near.transport.write(b"abc")
        self.near.transport.writeSequence([b"d", b"e"])
        self.far.transport.write(b"xyz")
        yield eventually(self.reactor, lambda: self.far.received == b"abcde")
        yield eventually(self.reactor, lambda: self.near.received == b"xyz")

    @defer.inlineCallbacks
    def test_more_than_the_socket_takes_arrives_in_order(self) -> Any:
        """What the socket does not take is buffered, and what comes after waits behind it."""
        data = bytes(range(256)) * 4096 * 8
        self.near.transport.write(data)
        self.near.transport.write(b"end")
        yield eventually(self.reactor, lambda: self.far.received.endswith(b"end"))
        self.assertEqual(self.far.received, data + b"end")
        self.near.transport.write(b"more")
        yield eventually(self.reactor, lambda: self.far.received.endswith(b"more"))

    @defer.inlineCallbacks
    def test_producer_is_paused_and_resumed(self) -> Any:
        """A peer that does not read pauses the producer once, and reading resumes it."""
        producer = Producer()
        self.near.transport.registerProducer(producer, True)
        self.far.transport.pauseProducing()
        while not producer.told:
            self.near.transport.write(65536 * b"x")
        self.assertEqual(producer.told, ["pause"])
        self.far.transport.resumeProducing()
        yield eventually(self.reactor, lambda: producer.told == ["pause", "resume"])
        self.near.transport.unregisterProducer()

    @defer.inlineCallbacks
    def test_closing_waits_for_the_buffer(self) -> Any:
        """A connection that is closed delivers what was written before."""
        self.far.transport.pauseProducing()
        data = 8 * 1024 * 1024 * b"x"
        self.near.transport.write(data)
        self.near.transport.loseConnection()
        self.far.transport.resumeProducing()
        yield self.far.ended
        self.assertEqual(len(self.far.received), len(data))

    @defer.inlineCallbacks
    def test_half_closing_waits_for_the_buffer(self) -> Any:
        """A half-closed connection delivers what was written, and still hears."""
        self.near.transport.write(4 * 1024 * 1024 * b"x")
        self.near.transport.loseWriteConnection()
        yield self.far.ended
        self.assertEqual(len(self.far.received), 4 * 1024 * 1024)

    @defer.inlineCallbacks
    def test_writing_to_a_broken_connection_is_harmless(self) -> Any:
        """A reset peer is found out about by `connectionLost`, not by an exception in `write`."""
        self.far.transport.abortConnection()
        yield self.far.ended
        while self.near.lost is None:
            self.near.transport.write(b"x")
            yield task.deferLater(self.reactor, 0, lambda: None)
        self.near.transport.write(b"y")

    @defer.inlineCallbacks
    def test_pull_producer_is_pulled(self) -> Any:
        """A producer that waits to be asked is asked until it has nothing left."""
        transport = self.near.transport
        left = [b"c", b"b", b"a"]

        class Pulled:
            def resumeProducing(self) -> None:
                if left:
                    transport.write(left.pop())
                else:
                    transport.unregisterProducer()

            def stopProducing(self) -> None:
                pass

        transport.registerProducer(Pulled(), False)
        yield eventually(self.reactor, lambda: self.far.received == b"abc")

    @defer.inlineCallbacks
    def test_nothing_passes_tls_by(self) -> Any:
        """Once TLS has started, no byte leaves unencrypted."""
        self.near.transport.startTLS(ssl.CertificateOptions(), False)
        self.near.transport.write(b"secret")
        self.near.transport.write(b"secret" * 100_000)
        yield eventually(self.reactor, lambda: self.far.received)
        self.assertNotIn(b"secret", self.far.received)


class StockTransportsTests(FastTransportsTests):
    """Twisted's own transports do the same."""

    def transports(self) -> Transports:
        return StockTransports()
