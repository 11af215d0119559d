"""Bodies of answers, as a connection brings them."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from fengling_gateway.kubernetes.bodies import MAX_LINE_BYTES, decoded, read_events, read_whole
from fengling_gateway.kubernetes.errors import ApiError


class Response:
    """
    A response, and the transport of its body.

    Attributes:
        calls: what the transport was told, in order.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.body: Any = None

    def deliverBody(self, protocol: Any) -> None:
        self.body = protocol
        protocol.makeConnection(self)

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")

    def end(self, error: Exception | None = None) -> None:
        self.body.connectionLost(Failure(error or ResponseDone()))


class WholeTests(SynchronousTestCase):
    """`read_whole`"""

    def setUp(self) -> None:
        self.response = Response()
        self.reading = read_whole(self.response, 10)

    def test_body_is_returned_at_its_end(self) -> None:
        """However it is cut, with or without a length."""
        for end in (ResponseDone(), PotentialDataLoss()):
            response = Response()
            reading = read_whole(response, 10)
            response.body.dataReceived(b"12345")
            response.body.dataReceived(b"67890")
            self.assertNoResult(reading)
            response.end(end)
            self.assertEqual(self.successResultOf(reading), b"1234567890")

    def test_too_much_breaks_the_connection(self) -> None:
        """As soon as it has come."""
        self.response.body.dataReceived(b"12345678901")
        error = self.failureResultOf(self.reading, ApiError).value
        self.assertEqual((error.reason, self.response.calls), ("TooLarge", ["stop"]))
        self.response.end(ConnectionLost())

    def test_half_a_body_is_none(self) -> None:
        """It is told so."""
        self.response.body.dataReceived(b"12345")
        self.response.end(ConnectionLost())
        error = self.failureResultOf(self.reading, ApiError).value
        self.assertIn("broke before the answer was whole", str(error))

    def test_cancelling_breaks_the_connection(self) -> None:
        """Nobody wants the rest."""
        self.reading.cancel()
        self.failureResultOf(self.reading, CancelledError)
        self.assertEqual(self.response.calls, ["stop"])
        self.response.body.dataReceived(b"1")
        self.response.end(ConnectionLost())


class EventsTests(SynchronousTestCase):
    """`read_events`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.response = Response()
        self.events: list[Any] = []
        self.seconds = 0.0
        self.reading: Deferred[None] = read_events(
            self.response, clock=self.clock, on_event=self.take
        )

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def take(self, event: Any) -> None:
        self.events.append(event["n"])
        self.clock.rightNow += self.seconds

    def come(self, *numbers: int) -> None:
        lines = (json.dumps({"n": one}).encode() + b"\n" for one in numbers)
        self.response.body.dataReceived(b"".join(lines))

    def test_events_are_read_in_the_next_turn(self) -> None:
        """All that have come in this one; halves wait."""
        self.come(1, 2)
        self.response.body.dataReceived(b'{"n": ')
        self.assertEqual(self.events, [])
        self.clock.advance(0)
        self.assertEqual(self.events, [1, 2])
        self.response.body.dataReceived(b"3}\n")
        self.clock.advance(0)
        self.assertEqual(self.events, [1, 2, 3])
        self.assertEqual(self.response.calls, [])
        self.response.end()
        self.clock.advance(0)
        self.assertIsNone(self.successResultOf(self.reading))

    def test_events_that_take_long_leave_others_a_turn(self) -> None:
        """No more comes before they have all been read, not even the end."""
        self.seconds = 0.002
        turns: list[Any] = []
        self.come(*range(7))
        self.clock.callLater(0, lambda: turns.append((list(self.events), self.response.calls[:])))
        self.clock.callLater(0.007, lambda: turns.append(len(self.events)))
        self.clock.callLater(0, self.response.end)
        self.reading.addCallback(turns.append)
        self.clock.advance(0)
        self.assertEqual(turns, [([0, 1, 2], ["pause"]), 6, None])
        self.assertEqual(self.events, [0, 1, 2, 3, 4, 5, 6])

    def test_more_comes_when_all_is_read(self) -> None:
        """The connection is let go on."""
        self.seconds = 0.005
        self.come(1, 2)
        self.clock.pump([0, 0])
        self.assertEqual((self.events, self.response.calls[-1]), ([1, 2], "resume"))
        self.response.end()
        self.clock.advance(0)

    def test_end_in_the_middle_of_an_event_is_a_failure(self) -> None:
        """Even if it is a clean one, and after the events before it."""
        for end, words in ((None, "middle of an event"), (ConnectionLost(), "broke before")):
            response = Response()
            events: list[Any] = []
            reading = read_events(response, clock=self.clock, on_event=events.append)
            response.body.dataReceived(b'{"n": 1}\n{"n"')
            response.end(end)
            self.clock.advance(0)
            self.assertEqual(events, [{"n": 1}])
            self.assertIn(words, str(self.failureResultOf(reading, ApiError).value))
        self.reading.addErrback(lambda _: None)
        self.reading.cancel()

    def test_what_is_no_event_breaks_the_connection(self) -> None:
        """Nothing behind it can be trusted."""
        for line in (b"<html>\n", b"[1]\n", b"\n", b"[" * 100_000 + b"\n"):
            response = Response()
            reading = read_events(response, clock=self.clock, on_event=self.take)
            response.body.dataReceived(line + b'{"n": 1}\n')
            self.clock.advance(0)
            self.assertIn("can't be read", str(self.failureResultOf(reading, ApiError).value))
            self.assertEqual((self.events, response.calls), ([], ["stop"]))
            response.end(ConnectionLost())
        self.reading.addErrback(lambda _: None)
        self.reading.cancel()

    def test_line_without_an_end_is_not_kept(self) -> None:
        """For longer than a whole object may be."""
        for _ in range(MAX_LINE_BYTES // 65536 + 1):
            self.response.body.dataReceived(b"x" * 65536)
        self.clock.advance(0)
        self.assertEqual(self.failureResultOf(self.reading, ApiError).value.reason, "TooLarge")

    def test_who_takes_events_may_end_them(self) -> None:
        """By raising anything, or by cancelling; no other event comes then."""
        for fault in (RuntimeError("a fault"), CancelledError()):
            response = Response()
            events: list[Any] = []

            def take(event: Any, to: Any = events, error: Any = fault) -> None:
                to.append(event)
                raise error

            reading = read_events(response, clock=self.clock, on_event=take)
            response.body.dataReceived(b"{}\n{}\n")
            self.clock.advance(0)
            self.assertIs(self.failureResultOf(reading).value, fault)
            self.assertEqual((events, response.calls), ([{}], ["stop"]))
        self.come(1, 2)
        self.take = lambda _: self.reading.cancel()  # type: ignore[method-assign]
        self.reading.cancel()
        self.failureResultOf(self.reading, CancelledError)
        self.assertEqual(self.response.calls, ["stop"])
        self.come(3)
        self.assertEqual(self.events, [])


class DecodedTests(SynchronousTestCase):
    """`decoded`"""

    def test_only_objects_are_taken(self) -> None:
        """Of an API server nothing else comes."""
        self.assertEqual(decoded(b'{"a": 1}'), {"a": 1})
        for content in (b"", b"1", b"[]", b"null", b"\xff", b"[" * 100_000):
            self.assertRaises(ApiError, decoded, content)
