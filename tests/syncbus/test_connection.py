"""A connection to Redis that is given up on in time, and always made again."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.syncbus.connection import (
    CONNECT_SECONDS,
    MAX_BACKOFF_SECONDS,
    MAX_OUTSTANDING,
    OPERATION_SECONDS,
    PING_INTERVAL_SECONDS,
    RedisConnection,
    Subscription,
    make_endpoint,
)
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.url import parse_redis_url
from tests.syncbus.builders import rng
from tests.syncbus.fake_redis import FakeEndpoint, Wire, resp

PONG, OK = b"+PONG\r\n", b"+OK\r\n"


class ConnectionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = FakeEndpoint(self.clock)
        self.messages: list[tuple[bytes, bytes]] = []
        self.ready = 0
        self.connection = self.make()

    def make(self, url: str = "redis://h", channels: tuple[str, ...] = ()) -> RedisConnection:
        return RedisConnection(
            reactor=self.clock,
            address=parse_redis_url(url),
            rng=rng(),
            subscription=Subscription(channels, self.message) if channels else None,
            on_ready=self.became_ready,
            endpoint=self.endpoint,
        )

    def message(self, channel: bytes, message: bytes) -> None:
        self.messages.append((channel, message))

    def became_ready(self) -> None:
        self.ready += 1

    def tearDown(self) -> None:
        stopped = self.connection.stop()
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def connect(self) -> Wire:
        self.connection.start()
        wire = self.endpoint.wire
        self.assertEqual(wire.commands(), ["PING"])
        wire.say(PONG)
        self.assertTrue(self.connection.ready)
        return wire

    def failed(self, operation: Deferred[Any]) -> str:
        return self.failureResultOf(operation, BusError).getErrorMessage()


class CommandTests(ConnectionCase):
    """Commands and their deadlines."""

    def test_a_command_is_answered(self) -> None:
        """Numbers stay what they are: text is bytes, also when it looks like a number."""
        wire = self.connect()
        operation = self.connection.call("GET", "key")
        self.assertEqual(wire.commands(), ["GET"])
        wire.say(b"$3\r\n007\r\n")
        self.assertEqual(self.successResultOf(operation), b"007")

    def test_nothing_is_ready_before_redis_answers(self) -> None:
        """A stopped Redis has its kernel accept connections."""
        self.connection.start()
        self.assertFalse(self.connection.ready)
        self.assertEqual(self.failed(self.connection.call("GET")), "Redis is not connected")

    def test_an_error_of_redis_is_a_bus_error(self) -> None:
        """The connection is as good as before."""
        wire = self.connect()
        operation = self.connection.call("HSET", "key")
        wire.say(b"-WRONGTYPE Operation against a key\r\n")
        self.assertIn("WRONGTYPE", self.failed(operation))
        self.assertTrue(self.connection.ready)
        self.assertEqual(self.connection.counters["errors"], 1)

    def test_no_answer_in_time_costs_the_connection(self) -> None:
        """Replies are matched by order: after a missing one none can be."""
        wire = self.connect()
        first, second = self.connection.call("GET", "a"), self.connection.call("GET", "b")
        self.clock.advance(OPERATION_SECONDS)
        self.assertIn("in time", self.failed(first))
        self.failed(second)
        self.clock.advance(0)
        self.assertFalse(self.connection.ready)
        self.assertFalse(wire.open)

    def test_a_silent_redis_is_noticed_without_commands(self) -> None:
        """A ping that stays unanswered, within four seconds."""
        wire = self.connect()
        self.clock.advance(PING_INTERVAL_SECONDS)
        self.assertEqual(wire.commands(), ["PING"])
        self.clock.advance(OPERATION_SECONDS)
        self.clock.advance(0)
        self.assertFalse(self.connection.ready)

    def test_an_answered_ping_keeps_it(self) -> None:
        """For as long as it is answered."""
        wire = self.connect()
        for _ in range(10):
            self.clock.advance(PING_INTERVAL_SECONDS)
            wire.say(PONG)
        self.assertTrue(self.connection.ready)
        self.assertEqual(self.connection.counters["losses"], 0)

    def test_operations_under_way_are_bounded(self) -> None:
        """One more than the bound fails at once."""
        self.connect()
        operations = [self.connection.call("GET", "a") for _ in range(MAX_OUTSTANDING)]
        self.assertIn("too many", self.failed(self.connection.call("GET", "a")))
        self.assertEqual(self.connection.counters["refused"], 1)
        self.clock.advance(OPERATION_SECONDS)
        for operation in operations:
            self.failed(operation)

    def test_a_lost_connection_fails_what_is_under_way(self) -> None:
        """At once, not at the deadline."""
        wire = self.connect()
        operation = self.connection.call("GET", "a")
        wire.end(ConnectionDone())
        self.clock.advance(0)
        self.failed(operation)


class ReconnectTests(ConnectionCase):
    """After a loss: again, with backoff."""

    def test_it_connects_again(self) -> None:
        """And says that it is ready each time."""
        self.connect().end(ConnectionDone())
        self.clock.advance(0)
        self.assertFalse(self.connection.ready)
        self.clock.advance(0.2)
        self.endpoint.wire.say(PONG)
        self.assertEqual((self.connection.ready, self.ready), (True, 2))

    def test_attempts_slow_down(self) -> None:
        """Up to two seconds, and never stop."""
        self.endpoint.mode = "refuse"
        self.connection.start()
        for _ in range(200):
            self.clock.advance(0.05)
        first = self.endpoint.attempts
        self.assertGreater(first, 5)
        for _ in range(40):
            self.clock.advance(MAX_BACKOFF_SECONDS)
        self.assertGreaterEqual(self.endpoint.attempts, first + 40)

    def test_a_connection_that_hangs_is_given_up(self) -> None:
        """A network that drops silently."""
        self.endpoint.mode = "hang"
        self.connection.start()
        self.clock.advance(CONNECT_SECONDS)
        self.assertEqual(self.connection.last_error, "no connection within 3 s")
        self.clock.advance(1)
        self.assertEqual(self.endpoint.attempts, 2)

    def test_a_handshake_that_hangs_is_given_up(self) -> None:
        """Redis accepts and says nothing."""
        self.connection.start()
        self.clock.advance(OPERATION_SECONDS)
        self.clock.advance(0)
        self.assertEqual(self.connection.last_error, "Redis did not answer in time")
        self.clock.advance(1)
        self.assertEqual(self.endpoint.attempts, 2)
        self.assertFalse(self.endpoint.wires[0].open)

    def test_a_wrong_password_is_tried_again(self) -> None:
        """It may be put right without a restart of ours; the reason is kept for status."""
        self.connection = self.make("redis://u:canary@h")
        self.connection.start()
        self.assertEqual(self.endpoint.wire.commands(), ["AUTH"])
        self.endpoint.wire.say(b"-WRONGPASS invalid username-password pair\r\n")
        self.clock.advance(0)
        self.assertIn("WRONGPASS", self.connection.last_error)
        self.assertNotIn("canary", self.connection.last_error)
        self.clock.advance(1)
        self.endpoint.wire.say(OK)
        self.endpoint.wire.say(PONG)
        self.assertTrue(self.connection.ready)
        self.assertEqual(self.connection.last_error, "")

    def test_a_server_that_repeats_the_password_is_not_quoted(self) -> None:
        """A proxy that knows no AUTH names what it was asked, in `last_error` and in the log."""
        self.connection = self.make("redis://u:canary@h")
        with capturedLogs() as logged:
            self.connection.start()
            self.endpoint.wire.say(
                b"-ERR unknown command 'AUTH', with args beginning with: 'u' 'canary'\r\n"
            )
            self.clock.advance(0)
        self.assertIn("unknown command", self.connection.last_error)
        self.assertNotIn("canary", self.connection.last_error + str(logged))

    def test_a_silent_auth_is_given_up(self) -> None:
        """Before anything else is asked."""
        self.connection = self.make("redis://:p@h/3")
        self.connection.start()
        self.clock.advance(OPERATION_SECONDS)
        self.clock.advance(0)
        self.assertEqual(self.connection.last_error, "no answer within 2 s")
        self.clock.advance(1)
        self.assertEqual(self.endpoint.attempts, 2)

    def test_database_and_user_are_chosen_first(self) -> None:
        """AUTH with a user, SELECT, then PING."""
        self.connection = self.make("redis://u:p@h/3")
        self.connection.start()
        for expected, reply in (("AUTH", OK), ("SELECT", OK), ("PING", PONG)):
            self.assertEqual(self.endpoint.wire.commands(), [expected])
            self.endpoint.wire.say(reply)
        self.assertTrue(self.connection.ready)

    def test_stopping_at_any_time_leaves_nothing(self) -> None:
        """While connecting, in the handshake, while waiting, in use: see `tearDown`."""
        for mode in ("hang", "refuse", "accept"):
            self.endpoint.mode = mode
            connection = self.make()
            connection.start()
            stopped = connection.stop()
            self.clock.advance(0)
            self.successResultOf(stopped)
            self.assertEqual(self.clock.getDelayedCalls(), [])


def connected() -> tuple[Clock, FakeEndpoint, RedisConnection]:
    clock = Clock()
    endpoint = FakeEndpoint(clock)
    connection = RedisConnection(
        reactor=clock, address=parse_redis_url("redis://h"), rng=rng(), endpoint=endpoint
    )
    connection.start()
    endpoint.wire.say(PONG)
    return clock, endpoint, connection


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$-5\r\nxx\r\n",
        b"*-3\r\n",
        b"\x00\x01\x02\r\n",
        b":notanumber\r\n",
        b"+one reply\r\n+one too many\r\n",
        b"*10000\r\n",
        b"*2\r\n%99999999\r\n",
    ],
)
def test_nonsense_costs_the_connection_and_no_traceback(nonsense: bytes) -> None:
    """Another server on that port, or one that lies: dropped, counted, tried again."""
    clock, endpoint, connection = connected()
    endpoint.wire.say(nonsense)
    clock.advance(0)
    assert not endpoint.wires[0].open
    clock.advance(1)
    assert endpoint.attempts == 2
    connection.stop()
    clock.advance(0)


def test_list_too_long_is_refused_before_there_is_room_for_it() -> None:
    """Its head may come in pieces; the same in the middle of a text is none."""
    clock, endpoint, connection = connected()
    text = []
    connection.call("GET", "key").addBoth(text.append)
    for piece in (b"$10\r\n", b"a*123456~7\r\n"):
        endpoint.wire.say(piece)
    assert text == [b"a*123456~7"]
    for piece in (b"*1\r", b"\n*100", b"00"):
        endpoint.wire.say(piece)
    clock.advance(0)
    assert not endpoint.wires[0].open
    assert connection.last_error == "a list too long"
    connection.stop()
    clock.advance(0)


def test_a_reply_without_an_end_costs_the_connection() -> None:
    """Memory is bounded, whatever length is promised."""
    clock, endpoint, connection = connected()
    connection.call("GET", "a").addErrback(lambda _: None)
    endpoint.wire.say(b"$1000000000\r\n")
    for _ in range(5):
        endpoint.wire.say(b"x" * 1024 * 1024)
    assert not endpoint.wire.open
    connection.stop()
    clock.advance(OPERATION_SECONDS)


class SubscriptionTests(ConnectionCase):
    """A connection that listens."""

    def subscribe(self) -> Wire:
        self.connection = self.make(channels=("a", "b"))
        self.connection.start()
        wire = self.endpoint.wire
        wire.say(PONG)
        for number, channel in enumerate((b"a", b"b"), 1):
            self.assertEqual(wire.commands()[-1], "SUBSCRIBE")
            self.assertFalse(self.connection.ready)
            wire.say(resp(b"subscribe", channel, number))
        self.assertTrue(self.connection.ready)
        return wire

    def test_messages_arrive(self) -> None:
        """As bytes, from every channel."""
        wire = self.subscribe()
        wire.say(resp(b"message", b"a", b"007") + resp(b"message", b"b", b"\xff"))
        self.assertEqual(self.messages, [(b"a", b"007"), (b"b", b"\xff")])

    def test_messages_do_not_answer_a_ping(self) -> None:
        """In between, in either order."""
        wire = self.subscribe()
        self.clock.advance(PING_INTERVAL_SECONDS)
        wire.say(resp(b"message", b"a", b"1"))
        wire.say(resp(b"pong", b""))
        self.clock.advance(OPERATION_SECONDS)
        wire.say(resp(b"pong", b""))
        self.assertTrue(self.connection.ready)

    def test_only_messages_and_no_pong_is_a_loss(self) -> None:
        """What still trickles from a buffer does not prove that Redis lives."""
        wire = self.subscribe()
        self.clock.advance(PING_INTERVAL_SECONDS)
        wire.say(resp(b"message", b"a", b"1"))
        self.clock.advance(OPERATION_SECONDS)
        self.clock.advance(0)
        self.assertFalse(self.connection.ready)

    def test_the_subscription_is_made_again(self) -> None:
        """On each connection."""
        self.subscribe().end(ConnectionDone())
        self.clock.advance(0)
        self.clock.advance(0.2)
        wire = self.endpoint.wire
        wire.say(PONG)
        wire.say(resp(b"subscribe", b"a", 1))
        wire.say(resp(b"subscribe", b"b", 2))
        self.assertTrue(self.connection.ready)
        self.assertEqual(self.ready, 2)

    def test_a_refused_subscription_is_tried_again(self) -> None:
        """An access list without the channel: the reason is in status."""
        self.connection = self.make(channels=("a",))
        self.connection.start()
        self.endpoint.wire.say(PONG)
        self.endpoint.wire.say(b"-NOPERM this user has no permissions\r\n")
        self.clock.advance(0)
        self.assertIn("NOPERM", self.connection.last_error)
        self.clock.advance(1)
        self.assertEqual(self.endpoint.attempts, 2)


@pytest.mark.filterwarnings("ignore:Passing HostnameEndpoint")
class EndpointTests(SynchronousTestCase):
    """From an address to an endpoint."""

    def test_the_kind_follows_the_url(self) -> None:
        """TCP, a socket, TLS with verification."""
        clock = Clock()
        tcp = make_endpoint(clock, parse_redis_url("redis://h"))
        unix = make_endpoint(clock, parse_redis_url("unix:///a.sock"))
        tls = make_endpoint(clock, parse_redis_url("rediss://h"))
        self.assertIsInstance(tcp, HostnameEndpoint)
        self.assertIsInstance(unix, UNIXClientEndpoint)
        self.assertNotIsInstance(tls, HostnameEndpoint)

    def test_an_authority_that_is_none_is_an_error(self) -> None:
        """Never a connection without verification instead."""
        with pytest.raises(BusError, match="No such file or directory"):
            make_endpoint(Clock(), parse_redis_url("rediss://h?ssl_ca_certs=/nonexistent.pem"))

    def test_it_does_not_stop_a_gateway_from_starting(self) -> None:
        """The reason is in status, and the file may come."""
        clock = Clock()
        address = parse_redis_url("rediss://h?ssl_ca_certs=/nonexistent.pem")
        connection = RedisConnection(reactor=clock, address=address, rng=rng())
        connection.start()
        self.assertIn("No such file or directory", connection.last_error)
        connection.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
