"""Limits that workers count together over a real server: shares, outages, and what is kept there."""

from __future__ import annotations

import os
import random
import re
import signal
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.limiting.keys import address_key
from fengling_gateway.limiting.limit import Limit
from fengling_gateway.limiting.shared import Spent
from fengling_gateway.limiting.table import LimitTable
from fengling_gateway.syncbus.connection import RedisConnection
from fengling_gateway.syncbus.limit_script import SCRIPT, arguments, settle
from fengling_gateway.syncbus.limits import LimitSync, SyncTimes
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.url import parse_redis_url
from tests.limiting.builders import limit
from tests.support.wait import eventually
from tests.syncbus.builders import KEY as BUS_KEY
from tests.syncbus.builders import rng

KEY = address_key("192.0.2.77")
BUCKET: dict[str, Any] = {"where": "global", "rate": "60/h"}
WINDOW: dict[str, Any] = {**BUCKET, "algorithm": "sliding_window"}
TIMES = SyncTimes(interval=0.05, deadline=0.5, batch=200)


class Worker:
    """What a worker has of limits."""

    def __init__(self, reactor: Any, url: str, cluster: str) -> None:
        self._reactor = reactor
        self.table = LimitTable(workers=2)
        self.sync = LimitSync(
            reactor=reactor,
            url=url,
            cluster=cluster,
            keys=[BUS_KEY],
            ledger=self.table.ledger,
            times=TIMES,
            rng=random.Random(),
        )
        self.sync.start()

    def take(self, one: Limit, count: int = 1, key: bytes = KEY) -> int:
        now = self._reactor.seconds()
        return sum(self.table.take(one, key, now) == 0.0 for _ in range(count))

    def left(self, one: Limit, key: bytes = KEY) -> int:
        headers = dict(self.table.pairs([one], [key], self._reactor.seconds()))
        return int(headers[b"RateLimit"].split(b";")[1][2:])

    def count(self, name: str) -> int:
        return self.table.counters()[f"limit_{name}"]

    @property
    def is_alone(self) -> bool:
        return bool(self.table.counters()["limits_alone_now"])


class LimitCase(TestCase):
    timeout = 60
    valkey: ValkeyServer

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251

        self.reactor: Any = reactor
        self.cluster = self.id().rpartition(".")[2]
        self.names = Names(self.cluster)
        self.workers: list[Worker] = []
        self.redis = RedisConnection(
            reactor=reactor, address=parse_redis_url(self.valkey.url), rng=rng()
        )
        self.redis.start()

    def tearDown(self) -> Deferred[Any]:
        return gatherResults([self.redis.stop(), *(one.sync.stop() for one in self.workers)])

    def worker(self) -> Worker:
        self.workers.append(Worker(self.reactor, self.valkey.url, self.cluster))
        return self.workers[-1]

    def until(self, condition: Any, timeout: float = 15) -> Deferred[Any]:
        return eventually(self.reactor, condition, timeout=timeout)

    async def told(self, *workers: Worker) -> None:
        """Wait until these have told all that they let in."""
        await self.until(lambda: all(not len(one.table.ledger) for one in workers))
        calls = [one.count("calls") for one in workers]
        await self.until(
            lambda: all(
                one.count("requests_told") > 0 and one.count("calls") >= before
                for one, before in zip(workers, calls, strict=True)
            )
        )


class SharedLimitTests(LimitCase):
    """With a server that works."""

    @pytest.fixture(autouse=True)
    def _server(self, valkey: ValkeyServer) -> None:
        self.valkey = valkey

    async def test_two_workers_share_a_limit(self) -> None:
        """Of either kind: what one has let in, the other does not."""
        for terms in (BUCKET, WINDOW):
            shared = limit(**terms)
            one, two = self.worker(), self.worker()
            self.assertEqual(one.take(shared, 40), 40)
            self.assertEqual(two.take(shared), 1)
            await self.until(lambda: one.count("requests_told") == 40)  # noqa: B023
            await self.until(lambda: two.count("requests_told") == 1)  # noqa: B023
            # It learns of it with what it tells next.
            self.assertEqual(two.take(shared), 1)
            await self.until(lambda: two.left(shared) == 18)  # noqa: B023
            self.assertEqual(two.take(shared, 50), 18)
            self.assertEqual(two.take(shared, 50), 0)

    async def test_what_was_let_in_too_early_is_owed(self) -> None:
        """By a bucket: both were asked in the same moment, and then wait the longer."""
        shared = limit(where="global", rate="100/s", burst=10)
        one, two = self.worker(), self.worker()
        self.assertEqual([one.take(shared, 50), two.take(shared, 50)], [10, 10])
        await self.until(lambda: one.count("requests_told") and two.count("requests_told"))
        taken, began = 20, self.reactor.seconds()
        for _ in range(40):
            taken += one.take(shared, 5) + two.take(shared, 5)
            wait: Deferred[None] = Deferred()
            self.reactor.callLater(0.025, wait.callback, None)
            await wait
        lasted = self.reactor.seconds() - began
        # At most what two workers let in between two calls is ahead of the rate.
        self.assertLessEqual(taken, 20 + 100 * lasted + 2 * 10)
        self.assertGreaterEqual(taken, 0.7 * 100 * lasted)

    async def test_a_call_that_is_repeated_counts_once(self) -> None:
        """Also after a later one has come."""
        one = self.worker()
        await self.until(lambda: self.redis.ready)
        for terms in (BUCKET, WINDOW):
            batch = await self.batch(one, limit(**terms), 5)
            for number, left in ((1, 55), (1, 55), (2, 50), (1, 50), (2, 50)):
                await self.call(number, batch)
                self.assertEqual(one.left(limit(**terms)), left)
            await self.redis.call("FLUSHDB")

    async def batch(self, one: Worker, of: Limit, count: int) -> list[Spent]:
        """Take some, and keep it from being told."""
        one.table.ledger.wake = lambda: None
        one.take(of, count)
        return one.table.ledger.batch(10)

    async def call(self, number: int, batch: list[Spent]) -> list[int]:
        keys = [self.names.limit_calls("w"), *(f"k{n}" for n in range(len(batch)))]
        answer = await self.redis.call("EVAL", SCRIPT, len(keys), *keys, *arguments(number, batch))
        settle(batch, answer, self.reactor.seconds())
        found: list[int] = answer
        return found

    async def test_what_is_beyond_a_window_counts_in_the_next_ones(self) -> None:
        """As in the workers."""
        await self.until(lambda: self.redis.ready)
        ((counts, key, _),) = await self.batch(
            self.worker(), limit(where="global", rate="20/s", algorithm="sliding_window"), 1
        )
        _, inside, _ = await self.call(1, [(counts, key, 75)])
        self.assertEqual(inside, 75)
        while inside == 75:
            _, inside, before = await self.call(1, [(counts, key, 0)])
        self.assertEqual(before - inside, 20)
        _, inside, _ = await self.call(2, [(counts, key, 10**6)])
        self.assertEqual(inside, 16 * 20)

    async def test_nothing_in_redis_tells_who_came_or_stays(self) -> None:
        """Names are hashes, and all keys expire."""
        one = self.worker()
        for terms in (BUCKET, WINDOW):
            one.take(limit(**terms), 3)
        one.take(limit(where="global", rate="5/s"), 3)
        await self.until(lambda: one.count("requests_told") == 9)
        keys = await self.redis.call("KEYS", f"fengling:{self.cluster}:*")
        self.assertEqual(len(keys), 4)
        for key in keys:
            form = rb"fengling:[a-z_]+:limit:(calls:[0-9a-f]{16}|[0-9a-f]{32})"
            self.assertIsNotNone(re.fullmatch(form, key), key)
            self.assertIn(await self.redis.call("PTTL", key), range(1, 18 * 3_600_000 + 1))

    async def test_what_somebody_else_wrote_there_breaks_nothing(self) -> None:
        """Nonsense counts as nothing; a key of another type fails like an outage."""
        one = self.worker()
        await self.until(lambda: self.redis.ready)
        for terms in (BUCKET, WINDOW):
            batch = await self.batch(one, limit(**terms), 5)
            for number, nonsense in enumerate((b"x", b"-5", b"9" * 400, b"1:2", b"", b"nan")):
                await self.redis.call("SET", "k0", nonsense)
                await self.call(number + 1, batch)
                self.assertLessEqual(one.left(limit(**terms)), 60)
            await self.redis.call("FLUSHDB")

    async def test_windows_are_those_of_redis(self) -> None:
        """What was told just before the end of one counts in the next by its part."""
        one = self.worker()
        shared = limit(where="global", rate="20/2s", algorithm="sliding_window")
        await self.until(lambda: self.redis.ready)
        self.assertEqual(one.take(shared, 50), 20)
        await self.until(lambda: one.count("requests_told") == 20)
        began = self.reactor.seconds()
        await self.until(lambda: one.take(shared) == 1)
        # Somewhere in the window after: the one that it was told in may have been at its end.
        self.assertLess(self.reactor.seconds() - began, 2.5)


class OutageTests(LimitCase):
    """With a server of its own that dies, hangs and comes back."""

    @pytest.fixture(autouse=True)
    def _server(self, own_valkey: ValkeyServer) -> None:
        self.valkey = own_valkey

    async def test_a_server_that_dies_is_done_without_and_taken_back(self) -> None:
        """It comes back without its script, and without the counts."""
        one, two, shared = self.worker(), self.worker(), limit(**BUCKET)
        self.assertEqual([one.take(shared, 10), two.take(shared, 10)], [10, 10])
        await self.until(lambda: all(w.count("requests_told") == 10 for w in (one, two)))
        self.valkey.kill()
        one.take(shared)
        two.take(shared)
        await self.until(lambda: one.is_alone and two.is_alone)
        self.assertEqual([one.take(shared, 90), two.take(shared, 90)], [30, 30])
        self.valkey.start()
        await self.until(lambda: not one.is_alone and not two.is_alone)
        one.take(shared, 5)
        await self.until(lambda: one.count("requests_told") >= 15)
        self.assertEqual([w.count("outages") for w in (one, two)], [1, 1])

    async def test_a_server_that_hangs_is_done_without_and_taken_back(self) -> None:
        """SIGSTOP: connections stay open and nothing answers; nothing counts twice."""
        one, shared = self.worker(), limit(**BUCKET)
        one.take(shared, 10)
        await self.until(lambda: one.count("requests_told") == 10)
        pid = self.valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            one.take(shared, 5)
            await self.until(lambda: one.is_alone, timeout=5)
            self.assertEqual(one.take(shared, 90), 30)
        finally:
            os.kill(pid, signal.SIGCONT)
        await self.until(lambda: not one.is_alone)
        one.take(shared)
        # Ten and one, and the five if they were heard of in the end.
        await self.until(lambda: one.left(shared) in {44, 49})

    async def test_a_lost_connection_is_no_outage(self) -> None:
        """It is made again, and what nobody may have heard is told again."""
        one, two, shared = self.worker(), self.worker(), limit(**BUCKET)
        for _ in range(10):
            one.take(shared)
            two.take(shared)
            await self.until(lambda: self.redis.ready)
            await self.redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        told = lambda: [w.count("requests_told") for w in (one, two)]  # noqa: E731
        await self.until(lambda: told() == [10, 10])
        for each in (one, two):
            each.take(shared)
        await self.until(lambda: told() == [11, 11])
        self.assertEqual([w.count("outages") for w in (one, two)], [0, 0])
        three = self.worker()
        three.take(shared)
        await self.until(lambda: three.left(shared) == 60 - 23)

    async def test_a_full_server_is_an_outage(self) -> None:
        """It answers, and counts nothing."""
        one, shared = self.worker(), limit(**BUCKET)
        await self.until(lambda: self.redis.ready)
        await self.redis.call("CONFIG", "SET", "maxmemory", "1")
        one.take(shared)
        await self.until(lambda: one.is_alone)
        failures = one.count("calls_failed")
        await self.until(lambda: one.count("calls_failed") > failures + 3)
        self.assertTrue(one.is_alone)
        await self.redis.call("CONFIG", "SET", "maxmemory", "0")
        await self.until(lambda: not one.is_alone)
