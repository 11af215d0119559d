"""Live events: who is told, and for how long."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.granted import Access, IAccess
from fengling_gateway.access.problems import ProblemError, identify
from fengling_gateway.access.site import MAX_CONNECTIONS
from fengling_gateway.auth.operators import Operator
from fengling_gateway.console.call import Call
from fengling_gateway.console.events import (
    KEEPALIVE_SECONDS,
    LONGEST_SECONDS,
    LOOK_SECONDS,
    MAX_STREAMS,
    MAX_UNTAKEN,
    Events,
)
from tests.signin.requests import person, request

NOW = 1_700_000_000.0


class EventsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.events = Events(clock=self.clock, wall=lambda: NOW)
        self.events.start()
        self.addCleanup(self.events.stop)

    def listen(self, operator: Operator, method: bytes = b"GET") -> Any:
        asked = request()
        asked.method = method
        asked.args = {}
        identify(asked)
        asked.written = []
        asked.write = asked.written.append
        trail = AuditTrail(clock=self.clock.seconds, wall_clock=lambda: NOW)
        asked.setComponent(IAccess, Access(asked, operator, trail))
        return self.events.listen(Call(asked, {})), asked

    def test_event_is_told_to_all_who_listen(self) -> None:
        """In a line."""
        _, asked = self.listen(person())
        self.events.tell("revision", {"revision": 8})
        assert asked.written[-1] == b'event: revision\ndata: {"revision":8}\n\n'

    def test_stream_ends_with_its_credential(self) -> None:
        """Not a moment later than is looked."""
        over, _ = self.listen(person(expires_at=NOW + 30))
        self.clock.pump([LOOK_SECONDS] * 14)
        self.assertNoResult(over)
        self.clock.pump([LOOK_SECONDS] * 2)
        self.successResultOf(over)
        assert len(self.events) == 0

    def test_stream_of_who_has_signed_out_ends(self) -> None:
        """Here or at another console; others go on."""
        ada, _ = self.listen(person(token_id="s1"))
        eve, _ = self.listen(person(token_id="s2"))
        self.events.holds = lambda operator: operator.token_id != "s1"
        self.clock.advance(LOOK_SECONDS)
        self.successResultOf(ada)
        self.assertNoResult(eve)

    def test_client_that_has_gone_is_forgotten(self) -> None:
        """Also by what ends all streams when the console stops."""
        over, asked = self.listen(person())
        asked.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(over)
        assert len(self.events) == 0
        self.events.tell("revision", 1)

    def test_client_that_does_not_read_is_disconnected(self) -> None:
        """When as much waits for it as may; what waited for one that reads on comes in its order."""
        over, asked = self.listen(person())
        hung_up: list[bool] = []
        asked.loseConnection = lambda: hung_up.append(True)
        producer, _ = asked.channel.transport.producers[-1]
        producer.pauseProducing()
        for number in range(MAX_UNTAKEN):
            self.events.tell("revision", number)
        producer.resumeProducing()
        told = [one for one in asked.written if b"event" in one]
        assert told == [b"event: revision\ndata: %d\n\n" % n for n in range(MAX_UNTAKEN)]
        producer.pauseProducing()
        for number in range(MAX_UNTAKEN + 1):
            self.assertNoResult(over)
            self.events.tell("revision", number)
        self.successResultOf(over)
        assert hung_up == [True]

    def test_who_does_not_read_keeps_nobody_waiting(self) -> None:
        """And is told nothing any more once it is given up, not even that it is kept."""
        _, slow = self.listen(person())
        over, quick = self.listen(person())
        slow.loseConnection = lambda: None
        producer, _ = slow.channel.transport.producers[0]
        producer.pauseProducing()
        for number in range(MAX_UNTAKEN * 3):
            self.events.tell("revision", number)
        self.assertNoResult(over)
        told = [one for one in quick.written if b"event" in one]
        assert len(told) == MAX_UNTAKEN * 3
        assert len(self.events) == 1
        producer.resumeProducing()
        self.clock.advance(KEEPALIVE_SECONDS)
        assert [one for one in slow.written if b"event" in one] == []

    def test_what_waited_comes_before_what_is_new(self) -> None:
        """Also where it can't be taken all at once."""
        _, asked = self.listen(person())
        producer, _ = asked.channel.transport.producers[-1]
        del asked.written[:]

        def write(event: bytes) -> None:
            asked.written.append(event)
            producer.pauseProducing()

        asked.write = write
        producer.pauseProducing()
        for number in range(5):
            self.events.tell("revision", number)
            producer.resumeProducing()
            assert len(asked.written) == number + 1
        producer.pauseProducing()
        for number in range(5, 8):
            self.events.tell("revision", number)
        for number in range(5, 8):
            producer.resumeProducing()
            assert len(asked.written) == number + 1
        told = [b"event: revision\ndata: %d\n\n" % number for number in range(8)]
        assert asked.written == told

    def test_stream_that_is_over_is_told_nothing(self) -> None:
        """Though its client has not taken all yet."""
        over, asked = self.listen(person(token_id="s1"))
        producer, _ = asked.channel.transport.producers[-1]
        producer.pauseProducing()
        self.events.tell("revision", 1)
        self.events.holds = lambda operator: operator.token_id != "s1"
        self.clock.advance(LOOK_SECONDS)
        self.successResultOf(over)
        producer.resumeProducing()
        self.events.tell("revision", 2)
        assert not [one for one in asked.written if b"event" in one]

    def test_page_connects_again_now_and_then(self) -> None:
        """However long its credential holds: so it shows it again."""
        over, _ = self.listen(person(expires_at=NOW + LONGEST_SECONDS * 9))
        self.clock.pump([LOOK_SECONDS] * int(LONGEST_SECONDS / LOOK_SECONDS - 1))
        self.assertNoResult(over)
        self.clock.pump([LOOK_SECONDS] * 2)
        self.successResultOf(over)

    def test_all_streams_end_with_the_console(self) -> None:
        """Those of who does not read, too; and nothing is done any more."""
        streams = [self.listen(person()) for _ in range(3)]
        streams[0][1].channel.transport.producers[0][0].pauseProducing()
        self.events.stop()
        for over, _ in streams:
            self.successResultOf(over)
        assert len(self.events) == 0
        assert self.clock.getDelayedCalls() == []
        self.events.stop()

    def test_text_of_others_ends_no_event(self) -> None:
        """Comments have lines, and ids may be anything."""
        _, asked = self.listen(person())
        self.events.tell("revision", {"comment": "a\n\nevent: summary\r\ndata: {}"})
        [told] = [one for one in asked.written if one.startswith(b"event")]
        assert told.count(b"\n") == 3
        assert b"\r" not in told

    def test_events_are_counted_once(self) -> None:
        """However many hear of them; what is as before is none."""
        for _ in range(3):
            self.listen(person())
        for _ in range(2):
            self.events.tell("summary", 1, changes_only=True)
        self.events.tell("revision", 1)
        assert self.events.told == 2

    def test_connection_where_nothing_happens_is_kept(self) -> None:
        _, asked = self.listen(person())
        self.clock.pump([KEEPALIVE_SECONDS])
        assert asked.written[-1].startswith(b":")

    def test_stream_begins_with_what_changes_seldom(self) -> None:
        """Once it is told twice; but not with what was told when there were others."""
        over, first = self.listen(person())
        for _ in range(2):
            self.events.tell("summary", 1, changes_only=True)
        assert sum(b"summary" in one for one in first.written) == 1
        _, second = self.listen(person())
        assert any(b"summary" in one for one in second.written)
        self.events.stop()
        self.successResultOf(over)
        _, third = self.listen(person())
        assert not any(b"summary" in one for one in third.written)

    def test_too_many_pages_are_refused(self) -> None:
        """And leave room for those that ask."""
        for _ in range(MAX_STREAMS):
            self.listen(person())
        with self.assertRaises(ProblemError) as caught:
            self.listen(person())
        assert caught.exception.code == "busy"
        assert MAX_STREAMS < MAX_CONNECTIONS

    def test_who_asks_for_the_head_is_not_kept(self) -> None:
        answer, _ = self.listen(person(), b"HEAD")
        assert answer.status == 200
        assert len(self.events) == 0

    def test_who_is_limited_to_tenants_is_told_nothing(self) -> None:
        with self.assertRaises(ProblemError) as caught:
            self.listen(person(tenants=("acme",)))
        assert caught.exception.code == "forbidden"
