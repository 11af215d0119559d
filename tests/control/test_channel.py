"""Both kinds of channel carry the same conversation."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.control.encoding import delta_head
from fengling_gateway.control.frames import Message, encode_frame
from fengling_gateway.control.local_channel import LocalChannel
from fengling_gateway.control.socket_channel import SocketChannel
from fengling_gateway.model.delta import Change, Delta, Position, decode_changes
from fengling_gateway.model.entity import Key


class Listener:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.received: list[tuple[Message, bytes]] = []
        self.lost = 0

    def message_received(self, message: Message, payload: bytes) -> None:
        self.received.append((message, payload))

    def channel_lost(self) -> None:
        self.lost += 1


def a_delta(changes: int = 1) -> Delta:
    return Delta(
        before=Position("e", 1, "a"),
        after=Position("e", 2, "b"),
        hash_before=1,
        hash_after=2,
        changes=tuple(Change(Key("route", f"r{number}"), b"x" * 1000) for number in range(changes)),
        committed_at=12.5,
    )


class LocalChannelTests(SynchronousTestCase):
    """`LocalChannel`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.here, self.there = Listener(), Listener()
        self.ours = LocalChannel(clock=self.clock, user=self.here)
        self.theirs = LocalChannel(clock=self.clock, user=self.there)
        LocalChannel.connect(self.ours, self.theirs)

    def turn(self) -> None:
        """Run what is due now, but not what that schedules; `Clock.advance` would."""
        self.clock.calls.pop(0).func()

    def test_small_messages_arrive_in_one_turn(self) -> None:
        """A change of one route is not held up by the turns of a busy reactor."""
        self.ours.send_delta(a_delta())
        self.turn()
        messages = [message for message, _ in self.there.received]
        self.assertEqual(messages, [Message.DELTA, Message.CHANGES, Message.DELTA_END])

    def test_large_delta_takes_a_turn_for_each_part(self) -> None:
        """A reactor turn decodes 64 KiB and leaves the rest to the next."""
        self.ours.send_delta(a_delta(changes=600))
        arrived = []
        while self.clock.calls:
            before = len(self.there.received)
            self.turn()
            arrived.append(sum(len(payload) for _, payload in self.there.received[before:]))
        self.assertGreater(len(arrived), 3)
        self.assertLess(max(arrived), 2 * 64 * 1024)

    def test_delta_arrives_as_head_parts_and_end(self) -> None:
        """A delta of several parts is whole at the other end, with its hashes and positions."""
        sent = a_delta(changes=200)
        self.ours.send_delta(sent)
        self.clock.pump([0] * 20)
        messages = [message for message, _ in self.there.received]
        self.assertEqual((messages[0], messages[-1]), (Message.DELTA, Message.DELTA_END))
        self.assertGreater(messages.count(Message.CHANGES), 2)
        head = delta_head(self.there.received[0][1])
        changes = tuple(
            change
            for message, payload in self.there.received
            if message is Message.CHANGES
            for change in decode_changes(payload)
        )
        self.assertEqual(changes, sent.changes)
        self.assertEqual(
            (head.before, head.after, head.hash_before, head.hash_after, head.committed_at),
            (sent.before, sent.after, 1, 2, 12.5),
        )

    def test_paused_user_gets_nothing_until_it_resumes(self) -> None:
        """What arrives during a pause is kept in order."""
        self.theirs.pause()
        self.ours.send(Message.DRAIN, {"deadline": 1})
        self.clock.advance(0)
        self.assertEqual(self.there.received, [])
        self.theirs.resume()
        self.clock.advance(0)
        self.assertEqual(len(self.there.received), 1)

    def test_large_delta_is_encoded_a_part_a_turn(self) -> None:
        """The reactor that encodes is the one that serves requests; what waits is told."""
        self.ours.send_delta(a_delta(changes=600))
        self.ours.send(Message.READ_SLOTS, {"slots": [0]})
        self.assertEqual((self.ours.bytes_sent, self.ours.queued), (0, 2))
        sent, queued = [], []
        while self.clock.calls:
            before = self.ours.bytes_sent
            self.turn()
            sent.append(self.ours.bytes_sent - before)
            queued.append(self.ours.queued)
        self.assertLess(max(sent), 2 * 64 * 1024)
        self.assertEqual((set(queued[:-1]), queued[-1]), ({2}, 0))
        self.assertEqual(self.there.received[-1][0], Message.READ_SLOTS)

    def test_sender_waits_for_an_end_that_takes_several_turns(self) -> None:
        """What is under way is bounded, as with a socket; all of it arrives at last, in order."""
        self.theirs.pause()
        for _ in range(3):
            self.ours.send_delta(a_delta(changes=4000))
        self.clock.pump([0] * 500)
        self.assertLess(self.ours.bytes_sent, 8 * 1024 * 1024)
        self.assertEqual((self.ours.queued, self.clock.calls), (2, []))
        self.theirs.resume()
        self.clock.pump([0] * 500)
        messages = [message for message, _ in self.there.received]
        self.assertEqual((self.ours.queued, messages.count(Message.DELTA_END)), (0, 3))

    def test_closing_drops_what_is_under_way(self) -> None:
        """Whoever has been told that the channel is gone hears nothing more over it."""
        self.theirs.pause()
        self.ours.send(Message.DRAIN)
        self.clock.advance(0)
        self.ours.send(Message.DRAIN)
        self.ours.close()
        self.theirs.resume()
        self.clock.advance(0)
        self.assertEqual((self.there.received, self.ours.queued), ([], 0))

    def test_closing_tells_both_users(self) -> None:
        """Each end learns once that the channel is gone; later messages go nowhere."""
        self.ours.close()
        self.theirs.send(Message.READY)
        self.clock.advance(0)
        self.assertEqual((self.here.lost, self.there.lost, self.here.received), (1, 1, []))


class SocketChannelTests(SynchronousTestCase):
    """`SocketChannel`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.user = Listener()
        self.channel = SocketChannel(clock=self.clock, user=self.user)
        self.transport = StringTransport()

    def test_large_delta_is_written_only_as_fast_as_the_transport_asks(self) -> None:
        """Of a delta of 200 parts, one frame is written for each time the buffer runs empty."""
        self.channel.makeConnection(self.transport)
        self.channel.send_delta(a_delta(changes=2000))
        written = []
        while self.transport.producer is not None:
            before = len(self.transport.value())
            self.channel.resumeProducing()
            written.append(len(self.transport.value()) - before)
        self.assertLess(max(written), 2 * 64 * 1024)
        self.assertGreater(len(written), 15)

    def test_what_is_sent_before_the_connection_is_written_after_it(self) -> None:
        """A worker's first message may be queued before its socket is joined."""
        self.channel.send(Message.READY)
        self.channel.makeConnection(self.transport)
        self.channel.resumeProducing()
        self.assertEqual(self.transport.value(), encode_frame(Message.READY))

    def test_all_is_sent_when_the_transport_has_nothing_more_to_write(self) -> None:
        """Before, a process that ended would take it along."""
        self.assertTrue(self.channel.has_sent_all)
        self.channel.makeConnection(self.transport)
        self.channel.send(Message.READY)
        self.assertFalse(self.channel.has_sent_all)
        self.channel.resumeProducing()
        self.assertFalse(self.channel.has_sent_all, "it is in a buffer yet")
        self.channel.resumeProducing()
        self.assertTrue(self.channel.has_sent_all)
        self.channel.send(Message.READY)
        self.channel.connectionLost()
        self.assertTrue(self.channel.has_sent_all, "there is nobody who could be told")

    def test_reading_pauses_while_the_user_is_busy(self) -> None:
        """What has arrived and was not handled is bounded; the sender keeps the rest."""
        self.channel.makeConnection(self.transport)
        self.channel.pause()
        part = encode_frame(Message.CHANGES, bytes(64 * 1024))
        received = 0
        while self.transport.producerState == "producing":
            self.channel.dataReceived(part)
            received += len(part)
        self.assertLess(received, 8 * 1024 * 1024)
        self.channel.resume()
        self.clock.pump([0] * 200)
        self.assertEqual(self.transport.producerState, "producing")

    def test_garbage_closes_the_connection(self) -> None:
        """A peer that does not speak frames is cut off."""
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(self.transport.disconnecting or self.transport.disconnected)
        self.flushLoggedErrors()

    def test_user_that_raises_gets_the_next_message_all_the_same(self) -> None:
        """One message that is not handled is logged and does not end the conversation."""
        calls: list[Message] = []

        def fail_once(message: Message, payload: bytes) -> None:
            calls.append(message)
            if len(calls) == 1:
                raise ValueError("not today")

        self.user.message_received = fail_once  # type: ignore[method-assign]
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(encode_frame(Message.READY) + encode_frame(Message.DRAINED))
        self.assertEqual(calls, [Message.READY, Message.DRAINED])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_small_message_is_handled_in_the_turn_in_which_it_arrives(self) -> None:
        """Nothing waits for a turn of the reactor that need not."""
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(encode_frame(Message.READY))
        self.assertEqual([message for message, _ in self.user.received], [Message.READY])
        self.assertEqual(self.clock.getDelayedCalls(), [])
