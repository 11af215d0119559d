"""One announcement per position in a cluster, and none lost with its announcer."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from fengling_gateway.syncbus.announcer import SILENCE_SECONDS, Announcer
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.names import Names
from tests.syncbus.builders import position, rng

FIRST, TAKEN, SENT = 2, None, 2
"""What Redis answers: how many have heard, that another was first, how many have heard."""


class Redis:
    """Keeps the commands it got until the test answers them."""

    def __init__(self) -> None:
        self.waiting: list[tuple[tuple[Any, ...], Deferred[Any]]] = []

    def call(self, *command: Any) -> Deferred[Any]:
        reply: Deferred[Any] = Deferred()
        self.waiting.append((command, reply))
        return reply

    def answer(self, reply: Any) -> str:
        """Answer the oldest command, and return its name."""
        command, waiting = self.waiting.pop(0)
        if isinstance(reply, Exception):
            waiting.errback(reply)
        else:
            waiting.callback(reply)
        return str(command[0])


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.redis = Redis()
        self.counters: Counter[str] = Counter()
        self.announcer = Announcer(
            clock=self.clock,
            rng=rng(),
            names=Names("test"),
            call=self.redis.call,
            sign=lambda position: b"%d" % position.revision,
            counters=self.counters,
        )

    def published(self) -> list[Any]:
        """What is being published whether or not somebody else has."""
        return [command[2] for command, _ in self.redis.waiting if command[0] == "PUBLISH"]

    def offered(self) -> list[Any]:
        """What is being published unless somebody else has."""
        return [command[5] for command, _ in self.redis.waiting if command[0] == "EVAL"]


def test_the_first_announcer_publishes() -> None:
    """In one round trip: the key is taken and the message sent; nothing is left to do."""
    bench = Bench()
    bench.announcer.announce(position(7))
    assert bench.offered() == [b"7"]
    assert bench.redis.answer(FIRST) == "EVAL"
    assert bench.redis.waiting == []
    assert bench.counters == {"announcements_sent": 1}
    assert bench.clock.getDelayedCalls() == []


def test_the_others_stay_silent_when_it_is_heard() -> None:
    """The key is taken and the announcement comes: nothing is published."""
    bench = Bench()
    bench.announcer.announce(position(7))
    bench.redis.answer(TAKEN)
    bench.announcer.heard(position(7))
    bench.clock.advance(2 * SILENCE_SECONDS)
    assert bench.redis.waiting == []


def test_a_lost_announcement_is_repeated() -> None:
    """The key outlived a failover, and who was to hear it had not subscribed again."""
    bench = Bench()
    bench.announcer.announce(position(7))
    bench.redis.answer(TAKEN)
    bench.clock.advance(SILENCE_SECONDS * 0.9)
    assert bench.published() == []
    bench.clock.advance(SILENCE_SECONDS * 1.1)
    assert bench.published() == [b"7"]
    assert bench.counters["announcements_repeated"] == 1


def test_what_was_heard_already_is_not_announced() -> None:
    """Another host was faster."""
    bench = Bench()
    bench.announcer.heard(position(7))
    bench.announcer.announce(position(7))
    assert bench.redis.waiting == []
    assert bench.counters == {"announcements_suppressed": 1}


def test_another_token_is_another_position() -> None:
    """A restored database may have the same number again."""
    bench = Bench()
    bench.announcer.heard(position(7, "old"))
    bench.announcer.announce(position(7, "new"))
    assert len(bench.redis.waiting) == 1


def test_of_many_positions_the_newest_counts() -> None:
    """While one is under way, a burst waits as one."""
    bench = Bench()
    for revision in range(1, 10_001):
        bench.announcer.announce(position(revision))
    assert bench.offered() == [b"1"]
    bench.redis.answer(FIRST)
    assert bench.offered() == [b"10000"]


def test_a_redis_that_takes_no_keys_still_publishes() -> None:
    """Out of memory, read only, or without scripts: PUBLISH alone may do."""
    bench = Bench()
    bench.announcer.announce(position(7))
    bench.redis.answer(BusError("OOM"))
    assert bench.published() == [b"7"]


def test_what_could_not_be_published_is_when_redis_is_back() -> None:
    """The newest, and once."""
    bench = Bench()
    bench.announcer.announce(position(7))
    bench.redis.answer(BusError("away"))
    bench.redis.answer(BusError("away"))
    assert bench.redis.waiting == []
    bench.announcer.resume()
    bench.redis.answer(FIRST)
    bench.announcer.heard(position(7))
    bench.announcer.resume()
    assert bench.redis.waiting == []
    assert bench.counters == {"announcements_failed": 1, "announcements_sent": 1}


def test_what_was_published_to_nobody_is_announced_again() -> None:
    """Commands may be possible again before anybody is subscribed."""
    bench = Bench()
    bench.announcer.announce(position(7))
    bench.redis.answer(FIRST)
    bench.announcer.resume()
    bench.redis.answer(TAKEN)
    bench.clock.advance(2 * SILENCE_SECONDS)
    assert bench.published() == [b"7"]


def test_a_newer_position_replaces_one_that_failed() -> None:
    """Nobody needs the old one any more."""
    bench = Bench()
    bench.announcer.announce(position(7))
    bench.redis.answer(BusError("away"))
    bench.redis.answer(BusError("away"))
    bench.announcer.announce(position(8))
    assert bench.offered() == [b"8"]
    bench.redis.answer(FIRST)
    assert bench.redis.waiting == []


def test_the_same_is_announced_once() -> None:
    """When it is expected and when it is served; but again if it could not be said."""
    bench = Bench()
    bench.announcer.announce(position(7))
    bench.announcer.announce(position(7))
    bench.redis.answer(FIRST)
    bench.announcer.announce(position(7))
    assert bench.redis.waiting == []
    bench.announcer.announce(position(8))
    bench.redis.answer(BusError("away"))
    bench.redis.answer(BusError("away"))
    bench.announcer.announce(position(8))
    assert bench.offered() == [b"8"]


def test_stopping_leaves_no_timer() -> None:
    """Also in the middle of waiting for the winner."""
    bench = Bench()
    bench.announcer.announce(position(7))
    bench.redis.answer(TAKEN)
    bench.announcer.stop()
    assert bench.clock.getDelayedCalls() == []
    bench.announcer.resume()
    assert bench.redis.waiting == []
