"""The connections of the management API: whoever holds them open keeps nobody out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from fengling_gateway.access.site import (
    CLOSE_SECONDS,
    IDLE_SECONDS,
    REQUEST_SECONDS,
    BoundedSite,
)

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
HALF = REQUEST[:10]
ADDRESS = IPv4Address("TCP", "192.0.2.1", 1)


class Peer(StringTransport):
    """The other end: closed in both ways as a socket would be."""

    def __init__(self, channel: Any) -> None:
        super().__init__(peerAddress=ADDRESS)
        self.channel = channel
        self.closing = self.aborted = False
        self.reads = True

    @property
    def open(self) -> bool:
        return not (self.closing or self.aborted)

    def loseConnection(self) -> None:
        self.closing = True
        if self.reads:
            self.channel.connectionLost(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        self.aborted = True
        self.channel.connectionLost(Failure(ConnectionAborted()))

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)


class Page(Resource):
    """Answers at once, or when told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waits = False
        self.requests: list[Any] = []

    def render(self, request: Any) -> Any:
        if self.waits:
            self.requests.append(request)
            return NOT_DONE_YET
        return b"ok"


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.page = Page()
        self.refusals: Counter[str] = Counter()
        self.site = BoundedSite(self.page, reactor=self.clock, refusals=self.refusals)
        self.peers: list[Peer] = []

    def tearDown(self) -> None:
        """No connection leaves a timer."""
        for peer in self.peers:
            if not peer.aborted:
                peer.abortConnection()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.site.waiting, {})

    def connect(self) -> Peer | None:
        channel = self.site.buildProtocol(ADDRESS)
        if channel is None:
            return None
        peer = Peer(channel)
        channel.makeConnection(peer)
        self.peers.append(peer)
        return peer

    def connected(self) -> Peer:
        peer = self.connect()
        assert peer is not None
        return peer

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.5] * int(2 * seconds))

    def test_line_that_is_too_long_is_answered(self) -> None:
        """Who sends a huge token is told, and counted."""
        peer = self.connected()
        peer.send(REQUEST[:-2] + b"Authorization: Bearer " + b"a" * 20_000)
        self.assertTrue(peer.value().startswith(b"HTTP/1.1 431 "))
        self.assertFalse(peer.open)
        self.assertEqual(self.refusals["malformed_request"], 1)
        self.assertEqual(self.page.requests, [])

    def test_head_that_trickles_in_is_cut_off(self) -> None:
        """However its bytes come: the deadline is for the whole of it."""
        peer = self.connected()
        peer.send(HALF)
        for _ in range(int(REQUEST_SECONDS) - 1):
            self.advance(1)
            peer.send(b"X")
            self.assertTrue(peer.open)
        self.advance(1)
        self.assertTrue(peer.aborted)
        self.assertEqual(self.refusals, {"too_slow": 1})

    def test_body_that_trickles_in_is_cut_off(self) -> None:
        """It is part of the request."""
        peer = self.connected()
        peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(int(REQUEST_SECONDS)):
            peer.send(b"x")
            self.advance(1)
        self.assertTrue(peer.aborted)

    def test_second_request_has_a_deadline_of_its_own(self) -> None:
        """It begins with its first byte; between two there is more time."""
        peer = self.connected()
        peer.send(REQUEST)
        self.advance(IDLE_SECONDS - 1)
        peer.send(HALF)
        self.advance(REQUEST_SECONDS - 1)
        self.assertTrue(peer.open)
        peer.send(REQUEST[10:])
        self.assertEqual(peer.value().count(b"200 OK"), 2)
        self.advance(REQUEST_SECONDS + 1)
        self.assertTrue(peer.open)

    def test_idle_connection_is_closed(self) -> None:
        """Politely; whoever does not go is cut off."""
        silent, stubborn = self.connected(), self.connected()
        stubborn.reads = False
        self.advance(IDLE_SECONDS)
        self.assertTrue(silent.closing and stubborn.closing)
        self.assertFalse(stubborn.aborted)
        self.advance(CLOSE_SECONDS)
        self.assertTrue(stubborn.aborted)

    def test_answer_that_nobody_takes_is_given_up(self) -> None:
        """Also the last one of a connection, which Twisted would wait for without end."""
        peer = self.connected()
        peer.reads = False
        peer.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertTrue(peer.closing)
        self.advance(CLOSE_SECONDS)
        self.assertTrue(peer.aborted)

    def test_answer_may_take_its_time(self) -> None:
        """A reload that waits for a fleet is nothing to be cut off."""
        self.page.waits = True
        peer = self.connected()
        peer.send(REQUEST)
        self.advance(IDLE_SECONDS + REQUEST_SECONDS)
        self.assertTrue(peer.open)
        self.page.requests[0].finish()
        self.advance(IDLE_SECONDS)
        self.assertTrue(peer.closing)

    def test_answers_that_nobody_takes_are_no_longer_made(self) -> None:
        """Whoever sends request after request and reads nothing fills no memory of ours."""
        peer = self.connected()
        peer.producer.pauseProducing()  # what a transport does whose buffer is full
        peer.send(3 * REQUEST)
        peer.send(REQUEST)
        self.assertEqual(peer.value().count(b"200 OK"), 1)
        peer.producer.resumeProducing()
        self.assertEqual(peer.value().count(b"200 OK"), 4)
        peer.send(REQUEST)
        self.assertEqual(peer.value().count(b"200 OK"), 5)

    def test_who_takes_no_answer_is_closed_and_cut_off(self) -> None:
        """As long as one that asks for nothing; what it has sent behind does not help it."""
        peer = self.connected()
        peer.reads = False
        peer.producer.pauseProducing()
        peer.send(2 * REQUEST)
        self.advance(IDLE_SECONDS - 1)
        peer.send(HALF)
        self.advance(1)
        self.assertTrue(peer.closing)
        self.advance(CLOSE_SECONDS)
        self.assertTrue(peer.aborted)

    def test_one_too_many_replaces_who_waits_the_longest(self) -> None:
        """A probe gets through while somebody holds all connections open."""
        self.site.max_connections = 3
        first, second, third = (self.connected() for _ in range(3))
        for peer in (first, second, third):
            peer.send(HALF)
        first.send(REQUEST[10:])  # answered, and so the latest
        self.advance(5)
        second.send(b"X")  # which is no request
        probe = self.connected()
        probe.send(REQUEST)
        self.assertIn(b"200 OK", probe.value())
        self.assertTrue(second.aborted)
        self.assertTrue(first.open and third.open)
        self.assertEqual(self.refusals, {"too_many_connections": 1})

    def test_who_is_being_answered_is_not_dropped(self) -> None:
        """Then it is the new one that has to come again."""
        self.site.max_connections = 2
        self.page.waits = True
        busy = [self.connected(), self.connected()]
        for peer in busy:
            peer.send(REQUEST)
        self.assertIsNone(self.connect())
        self.assertEqual(self.refusals, {"too_many_connections": 1})
        busy[0].abortConnection()
        self.assertIsNotNone(self.connect())
