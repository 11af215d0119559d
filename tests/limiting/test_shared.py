"""Limits that several workers count together, by whoever carries their counts."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.limiting.limit import Limit
from fengling_gateway.limiting.shared import UNAVAILABLE, SharedCounts
from fengling_gateway.limiting.sliding_window import SlidingWindows
from fengling_gateway.limiting.table import LimitTable
from fengling_gateway.limiting.token_bucket import TokenBuckets
from tests.limiting.builders import limit, limits

KEY = b"aone"
T0 = 1_790_000_000.25
BUCKET: dict[str, Any] = {"where": "global"}
WINDOW = {**BUCKET, "algorithm": "sliding_window"}
ALGORITHMS = pytest.mark.parametrize("kind", [BUCKET, WINDOW], ids=["bucket", "window"])


def reachable(**options: Any) -> LimitTable:
    table = LimitTable(**options)
    table.ledger.is_reachable = True
    return table


class Everybody:
    """What Redis would keep of one key, in plain numbers."""

    def __init__(self, one: Limit) -> None:
        self._limit = one
        self._full_at = 0.0
        self._window = self._inside = self._before = 0

    def tell(self, table: LimitTable, now: float) -> None:
        for counts, key, taken in table.ledger.batch(10):
            if isinstance(counts.whole, TokenBuckets):
                spent = taken * self._limit.window / self._limit.count
                self._full_at = max(self._full_at, now) + spent
                counts.whole.settle(key, self._full_at - now, 0, now)
            else:
                self._move_to(int(now // self._limit.window))
                self._inside += taken
                passed = now % self._limit.window
                counts.whole.settle(key, (passed, self._inside, self._before), 0, now)

    def _move_to(self, window: int) -> None:
        while self._window and self._window < window:
            self._window += 1
            self._before, self._inside = self._inside, max(0, self._inside - self._limit.count)
        self._window = window


class LedgerTests:
    @ALGORITHMS
    def test_what_was_taken_is_told_once(self, kind: Any) -> None:
        """By limit and key; what was denied is not."""
        table, one, woken = reachable(), limit(**kind), []
        table.ledger.wake = lambda: woken.append(len(table.ledger))
        for _ in range(20):
            table.take(one, KEY, T0)
        table.take(one, b"atwo", T0)
        assert len(woken) == 1
        batch = table.ledger.batch(100)
        assert {(counts.limit.id, key, taken) for counts, key, taken in batch} == {
            (one.id, KEY, 10),
            (one.id, b"atwo", 1),
        }
        assert table.ledger.batch(100) == []
        table.take(one, b"atwo", T0)
        assert len(woken) == 2
        assert [taken for _, _, taken in table.ledger.batch(100)] == [1]

    def test_batches_are_bounded(self) -> None:
        """And all of them together are everything."""
        table = reachable()
        both = limits(BUCKET, WINDOW)
        for number in range(50):
            table.take_all(both, [b"%d" % number, b"%d" % number], T0)
        sizes = []
        while batch := table.ledger.batch(30):
            sizes.append(len(batch))
        assert sizes == [30, 30, 30, 10]
        assert len(table.ledger) == 0

    def test_what_is_not_told_is_counted(self) -> None:
        """Beyond the bound, or because it was given up on."""
        table = reachable(max_keys=10)
        one = limit(**BUCKET)
        for number in range(15):
            table.take(one, b"%d" % number, T0)
        assert table.ledger.lost == 5
        table.ledger.lose_all()
        assert table.ledger.lost == 15
        assert len(table.ledger) == 0
        assert table.counters()["limit_requests_untold"] == 15


class SettlingTests:
    def counts(self, table: LimitTable) -> SharedCounts:
        ((counts, _, _),) = table.ledger.batch(1)
        return counts

    def test_a_bucket_owes_what_others_took(self) -> None:
        """And what was taken here since."""
        table, one = reachable(), limit(**BUCKET)
        table.take(one, KEY, T0)
        whole = self.counts(table).whole
        assert isinstance(whole, TokenBuckets)
        whole.settle(KEY, 0.7, 2, T0)  # 7 of 10 are gone, and these 2
        assert [table.take(one, KEY, T0) == 0.0 for _ in range(3)] == [True, False, False]
        whole.settle(KEY, 2.0, 0, T0)
        assert table.take(one, KEY, T0) == pytest.approx(1.1)
        assert table.pairs([one], [KEY], T0)[1][1] == b'"client_ip";r=0;t=2'

    @ALGORITHMS
    @given(
        beyond=st.integers(0, 150),
        passed=st.sampled_from([0.0, 0.3, 0.9]),
        before=st.integers(0, 30),
        idle=st.sampled_from([0.0, 0.4, 1.0, 2.5, 40.0]),
    )
    def test_what_is_owed_is_waited_for(
        self, kind: Any, beyond: int, passed: float, before: int, idle: float
    ) -> None:
        """As long as is said, and no longer."""
        table, one = reachable(), limit(**kind)
        table.take(one, KEY, T0)
        whole = self.counts(table).whole
        if isinstance(whole, TokenBuckets):
            whole.settle(KEY, 1.0 + beyond / 10, 0, T0)
        else:
            whole.settle(KEY, (passed, 10 + beyond, before), 0, T0)
        now = T0 + idle
        wait = table.take(one, KEY, now)
        if wait > 0.01:
            assert table.take(one, KEY, now + wait - 0.01) > 0.0
            assert table.take(one, KEY, now + wait + 1e-5) == 0.0
        assert wait <= 16.0

    @ALGORITHMS
    @pytest.mark.parametrize("workers", [2, 8])
    def test_many_workers_let_in_the_rate(self, kind: Any, workers: int) -> None:
        """Over a time: what they let in before they knew of each other is made up for."""
        one = limit(**kind, rate="100/s")
        tables = [reachable() for _ in range(workers)]
        everybody, taken, rng = Everybody(one), 0, random.Random(1)
        for step in range(20_000):
            now = T0 + step / 1000
            taken += rng.choice(tables).take(one, KEY, now) == 0.0
            if step % 200 == 0:
                for table in tables:
                    everybody.tell(table, now)
        assert 1900 <= taken <= 2000 + 200 * workers

    def test_a_debt_is_bounded(self) -> None:
        """Whatever Redis says."""
        table, one = reachable(), limit(**BUCKET)
        table.take(one, KEY, T0)
        whole = self.counts(table).whole
        assert isinstance(whole, TokenBuckets)
        whole.settle(KEY, 1e12, 0, T0)
        assert table.take(one, KEY, T0) < 16.0

    def test_a_window_has_what_others_took(self) -> None:
        """In it and in the one before, and begins when theirs does."""
        table, one = reachable(), limit(**WINDOW)
        table.take(one, KEY, T0)
        whole = self.counts(table).whole
        assert isinstance(whole, SlidingWindows)
        whole.settle(KEY, (0.25, 3, 8), 0, T0)
        assert [table.take(one, KEY, T0) == 0.0 for _ in range(2)] == [True, False]
        assert [table.take(one, KEY, T0 + 0.5) == 0.0 for _ in range(5)] == [True] * 4 + [False]


class AloneTests:
    """While Redis is away, or there is none."""

    @ALGORITHMS
    def test_each_worker_lets_in_its_share(self, kind: Any) -> None:
        """And notes nothing."""
        table, one = LimitTable(workers=5), limit(**kind)
        assert sum(table.take(one, KEY, T0) == 0.0 for _ in range(20)) == 2
        assert table.pairs([one], [KEY], T0)[1][1].startswith(b'"client_ip";r=0;')
        assert len(table.ledger) == 0

    @ALGORITHMS
    def test_all_are_let_in_where_that_is_wanted(self, kind: Any) -> None:
        """Alone, and together with a limit that goes on."""
        table = LimitTable()
        both = limits({**kind, "on_redis_failure": "allow"}, {"rate": "15/s"})
        assert {table.take(both[0], KEY, T0) for _ in range(50)} == {0.0}
        assert sum(table.take_all(both, [KEY, KEY], T0) == 0.0 for _ in range(50)) == 15

    @ALGORITHMS
    def test_nobody_is_let_in_where_that_is_wanted(self, kind: Any) -> None:
        """And no other limit takes anything for it."""
        table = LimitTable()
        both = limits({"rate": "5/s"}, {**kind, "on_redis_failure": "deny"})
        assert table.take(both[1], KEY, T0) == UNAVAILABLE
        assert {table.take_all(both, [KEY, KEY], T0) for _ in range(50)} == {UNAVAILABLE}
        assert sum(table.take(both[0], KEY, T0) == 0.0 for _ in range(50)) == 5

    @ALGORITHMS
    def test_counts_go_on_when_it_is_back(self, kind: Any) -> None:
        """By what was known before."""
        table, one = reachable(workers=5), limit(**kind)
        assert sum(table.take(one, KEY, T0) == 0.0 for _ in range(20)) == 10
        table.ledger.is_reachable = False
        assert sum(table.take(one, KEY, T0) == 0.0 for _ in range(20)) == 2
        table.ledger.is_reachable = True
        assert sum(table.take(one, KEY, T0) == 0.0 for _ in range(20)) == 0
