"""Carrying counts of limits to Redis: in calls one at a time, repeated, and given up on in time."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.limiting.shared import UNAVAILABLE
from fengling_gateway.limiting.table import LimitTable
from fengling_gateway.syncbus.connection import RedisConnection
from fengling_gateway.syncbus.limit_script import SCRIPT_HASH
from fengling_gateway.syncbus.limits import LimitSync, SyncTimes
from fengling_gateway.syncbus.url import parse_redis_url
from tests.limiting.builders import limit, limits
from tests.syncbus.builders import KEY as BUS_KEY
from tests.syncbus.builders import OTHER_KEY, rng
from tests.syncbus.fake_redis import FakeEndpoint, resp

KEY = b"aone"
PONG = b"+PONG\r\n"
TIMES = SyncTimes(interval=0.2, deadline=1.0, batch=3)
GLOBAL = limit(where="global")
SLOW = limit(where="global", rate="10/h")


class LimitSyncTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_790_000_000)
        self.endpoint = FakeEndpoint(self.clock)
        self.table = LimitTable(workers=5)
        self.sync = LimitSync(
            reactor=self.clock,
            url="redis://h",
            cluster="test",
            keys=[BUS_KEY],
            ledger=self.table.ledger,
            times=TIMES,
            rng=rng(),
            connection=RedisConnection(
                reactor=self.clock,
                address=parse_redis_url("redis://h"),
                rng=rng(),
                endpoint=self.endpoint,
            ),
        )
        self.sync.start()

    def tearDown(self) -> None:
        stopped = self.sync.stop()
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def take(self, count: int = 1, key: bytes = KEY, of: Any = GLOBAL) -> int:
        now = self.clock.seconds()
        return sum(self.table.take(of, key, now) == 0.0 for _ in range(count))

    def connect(self) -> None:
        """Take one, so that it connects; the call about it waits for its answer."""
        self.take()
        self.endpoint.wire.say(PONG)
        self.endpoint.wire.clear()
        self.clock.advance(0.2)

    def calls(self) -> list[list[str]]:
        """Return the words of each call of the script since the last time."""
        text = self.endpoint.wire.value().decode()
        self.endpoint.wire.clear()
        calls = []
        for command in text.split("*")[1:]:
            words = command.split("\r\n")[2::2]
            if words[0] != "PING":
                calls.append(words)
            else:
                self.endpoint.wire.say(PONG)
        return calls

    def answer(self, *numbers: int) -> None:
        self.endpoint.wire.say(resp(*numbers))

    def counters(self, *names: str) -> list[int]:
        return [self.table.counters()[f"limit_{name}"] for name in names]

    def test_without_global_limits_nobody_connects(self) -> None:
        """Most workers have none."""
        self.take(of=limit())
        self.clock.advance(10)
        self.assertEqual((self.endpoint.attempts, self.clock.getDelayedCalls()), (0, []))

    def test_what_was_taken_is_told_and_what_all_took_is_known(self) -> None:
        """By a call of its own, a moment later."""
        self.take(4)
        self.endpoint.wire.say(PONG)
        self.endpoint.wire.clear()
        self.assertEqual(self.calls(), [])
        self.clock.advance(0.2)
        ((name, digest, keys, calls, key, number, _, _, taken, token, burst),) = self.calls()
        self.assertEqual((name, digest, keys), ("EVALSHA", SCRIPT_HASH, "2"))
        self.assertEqual((number, taken, token, burst), ("1", "4", "100000.0", "10"))
        self.assertRegex(calls, "^fengling:test:limit:calls:[0-9a-f]{16}$")
        self.assertRegex(key, "^fengling:test:limit:[0-9a-f]{32}$")
        self.take(2)
        self.answer(700_000, 0, 0)  # others took 3; and these 2 since
        self.assertEqual(self.take(5), 1)
        self.assertEqual(self.counters("requests_told", "calls", "calls_failed"), [4, 1, 0])

    def test_one_call_is_under_way_at_a_time(self) -> None:
        """What is taken meanwhile is told by the next one, at its time."""
        self.connect()
        self.take(2)
        self.clock.advance(0.5)
        self.assertEqual(len(self.calls()), 1)
        self.answer(100_000, 0, 0)
        self.assertEqual(self.calls(), [])
        self.clock.advance(0.2)
        ((*_, number, _, _, taken, _, _),) = self.calls()
        self.assertEqual((number, taken), ("2", "2"))

    def test_many_keys_are_told_in_several_calls(self) -> None:
        """One after the other, without a pause; each of bounded length."""
        for one in range(7):
            self.take(key=b"%d" % one)
        self.endpoint.wire.say(PONG)
        self.endpoint.wire.clear()
        self.clock.advance(0.2)
        for keys in (3, 3, 1):
            ((_, _, count, *_),) = self.calls()
            self.assertEqual(int(count), 1 + keys)
            self.answer(*[0] * (3 * keys))
        self.assertEqual(self.counters("requests_told"), [7])

    def test_it_rests_when_there_is_nothing_to_tell(self) -> None:
        """No timer but the connection's own."""
        self.connect()
        self.answer(100_000, 0, 0)
        self.clock.advance(0.2)
        self.calls()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.take()
        self.clock.advance(0.2)
        self.assertEqual(len(self.calls()), 1)

    def test_a_script_that_is_not_known_is_sent(self) -> None:
        """Redis forgets it with a restart."""
        self.connect()
        self.calls()
        self.endpoint.wire.say(b"-NOSCRIPT No matching script. Please use EVAL.\r\n")
        self.assertTrue(self.endpoint.wire.value().startswith(b"*11\r\n$4\r\nEVAL\r\n"))
        self.answer(700_000, 0, 0)
        self.assertEqual(self.take(5), 3)
        self.assertEqual(self.counters("calls_failed"), [0])

    def test_a_call_that_may_not_have_been_heard_is_repeated_as_it_was(self) -> None:
        """Under its number, so that nothing counts twice."""
        self.connect()
        (first,) = self.calls()
        self.endpoint.wire.end(ConnectionError())
        self.clock.advance(0)
        self.take(2)
        self.clock.advance(0.2)
        self.endpoint.wire.say(PONG)
        self.endpoint.wire.clear()
        self.clock.advance(0.2)
        self.assertEqual(self.calls(), [first])
        self.answer(100_000, 0, 0)
        self.clock.advance(0.2)
        self.assertEqual([call[-3] for call in self.calls()], ["2"])
        self.assertEqual(self.counters("requests_told", "requests_untold", "outages"), [1, 0, 0])

    def test_answers_that_are_none_are_failures(self) -> None:
        """Too short, of another kind, or beyond all bounds: nothing is believed."""
        self.connect()
        for nonsense in (resp(1, 2), resp(b"1", 0, 0), resp(10**16, 0, 0), b"+OK\r\n", b":5\r\n"):
            self.assertEqual(len(self.calls()), 1)
            self.endpoint.wire.say(nonsense)
            self.clock.advance(0.15)
            self.clock.advance(0.05)
        self.assertEqual(self.counters("calls_failed", "requests_told"), [5, 0])

    def test_redis_that_is_silent_for_too_long_is_done_without(self) -> None:
        """Each worker lets in its share, and says so once; what was not told is forgotten."""
        with capturedLogs() as logs:
            self.connect()
            self.take(3, of=SLOW)
            self.clock.advance(0.99)
            self.assertEqual(self.take(20, of=SLOW), 7)
            self.clock.advance(0.01)
            self.assertEqual(self.take(20, of=SLOW), 2)
            for _ in range(30):
                self.clock.advance(0.1)
        events = [log["log_id"] for log in logs]
        self.assertEqual([one for one in events if one.startswith("limits.")], ["limits.alone"])
        self.assertEqual(self.counters("outages", "requests_untold"), [1, 11])
        self.assertEqual(self.table.counters()["limits_alone_now"], 1)

    def test_policies_say_what_happens_then(self) -> None:
        """Let everybody in, or nobody."""
        allow, deny = (
            limit(where="global", rate="10/h", on_redis_failure=one) for one in ("allow", "deny")
        )
        self.connect()
        self.assertEqual([self.take(50, of=one) for one in (allow, deny)], [10, 10])
        self.clock.advance(1.0)
        self.assertEqual([self.take(50, of=one) for one in (allow, deny)], [50, 0])
        self.assertEqual(self.table.take(deny, KEY, self.clock.seconds()), UNAVAILABLE)

    def test_it_is_asked_again_until_it_answers(self) -> None:
        """With a call that takes nothing, but would be refused where others are."""
        self.connect()
        for _ in range(12):
            self.calls()
            self.endpoint.wire.say(b"-OOM command not allowed\r\n")
            self.clock.advance(0.2)
        self.assertEqual(self.table.counters()["limits_alone_now"], 1)
        (call,) = self.calls()
        self.assertEqual((call[2], len(call)), ("1", 7))
        self.assertGreater(int(call[4]), 1)
        with capturedLogs() as logs:
            self.answer()
        self.assertEqual([log["log_id"] for log in logs], ["limits.together"])
        self.assertEqual(self.table.counters()["limits_alone_now"], 0)
        self.assertEqual(self.take(5, key=b"atwo"), 5)

    def test_a_late_answer_is_an_answer(self) -> None:
        """Redis was slow, and is there."""
        self.connect()
        self.clock.advance(1.1)
        self.assertEqual(self.table.counters()["limits_alone_now"], 1)
        self.answer(500_000, 0, 0)
        self.assertEqual(self.table.counters()["limits_alone_now"], 0)
        self.assertEqual(self.counters("requests_told", "outages"), [1, 1])

    def test_redis_that_never_was_is_done_without(self) -> None:
        """From the deadline on."""
        self.endpoint.mode = "refuse"
        self.assertEqual(self.take(20, of=SLOW), 10)
        for _ in range(15):
            self.clock.advance(0.1)
        self.assertEqual(self.take(20, of=SLOW), 2)

    def test_fault_is_got_over(self) -> None:
        """Whether it comes while Redis is there, or while it is asked whether it is."""
        self.connect()
        self.calls()
        self.answer(0, 0, 0)
        arguments = "fengling_gateway.syncbus.limits.arguments"
        with patch(arguments, side_effect=RuntimeError("a fault")):
            self.take(2)
            for _ in range(10):
                self.clock.advance(0.2)
                self.assertEqual(self.calls(), [])
        self.assertGreater(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.table.counters()["limits_alone_now"], 1)
        self.clock.advance(0.2)
        self.assertEqual(len(self.calls()), 1)
        self.answer()
        self.assertEqual(self.table.counters()["limits_alone_now"], 0)

    def test_stopped_in_the_midst_of_everything_it_is_stopped(self) -> None:
        """`tearDown` sees that nothing is left."""
        self.connect()
        self.take(2)
        stopped = self.sync.stop()
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.take(20, of=SLOW), 2)

    def test_keys_in_redis_are_named_by_the_clusters_key(self) -> None:
        """Nobody can find out from Redis who came, nor make up the name of somebody's key."""
        names = []
        self.connect()
        for keys in ([BUS_KEY], [BUS_KEY], [OTHER_KEY, BUS_KEY.replace("k1", "k0")]):
            self.sync.replace_keys(keys)
            self.answer(0, 0, 0)
            self.take()
            self.clock.advance(0.2)
            (call,) = self.calls()[-1:]
            names.append(call[4])
        self.assertEqual(names[0], names[1])
        self.assertNotEqual(names[1], names[2])

    def test_limits_of_different_terms_are_counted_apart(self) -> None:
        """A changed limit begins anew in Redis, too."""
        self.connect()
        self.answer(0, 0, 0)
        both = limits({"where": "global"}, {"where": "global", "rate": "5/m"})
        for one in (*both, limit(where="global", rate="5/m", algorithm="sliding_window")):
            self.take(of=one)
        self.clock.advance(0.2)
        (call,) = self.calls()[-1:]
        self.assertEqual(len(set(call[4:7])), 3)
        self.assertEqual(call[-1], "-5")
