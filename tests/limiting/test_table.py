"""What a worker lets in: rates, their shares, and requests at a time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.limiting.limit import Limit
from fengling_gateway.limiting.table import LimitTable
from tests.limiting.builders import at_once, limit, limits

KEY = b"aone"
OTHER = b"atwo"
T0 = 1_790_000_000.25
"""A clock such as a reactor has: seconds since 1970."""

BUCKET: dict[str, Any] = {}
WINDOW = {"algorithm": "sliding_window"}
ALGORITHMS = pytest.mark.parametrize("kind", [BUCKET, WINDOW], ids=["bucket", "window"])

gaps = st.lists(st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 7.0]), max_size=80)


def let_in(table: LimitTable, one: Limit, count: int, now: float, key: bytes = KEY) -> int:
    """Ask so many times at once; return how many were let in."""
    return sum(table.take(one, key, now) == 0.0 for _ in range(count))


class BothAlgorithmsTests:
    @ALGORITHMS
    def test_so_many_come_at_once_and_no_more(self, kind: Any) -> None:
        """By default as many as the rate has."""
        assert let_in(LimitTable(), limit(**kind), 50, T0) == 10

    @ALGORITHMS
    def test_each_key_counts_by_itself(self, kind: Any) -> None:
        """And so does each limit."""
        table, one = LimitTable(), limit(**kind)
        assert let_in(table, one, 50, T0) == 10
        assert let_in(table, one, 50, T0, OTHER) == 10
        assert let_in(table, limit(**kind, key="all"), 50, T0) == 10

    @ALGORITHMS
    @given(gaps=gaps)
    def test_who_waits_as_told_is_let_in(self, kind: Any, gaps: list[float]) -> None:
        """And a moment earlier is not: the time is exact, whatever happened before."""
        table, one, now = LimitTable(), limit(**kind, rate="3/2s"), T0
        for gap in gaps:
            now += gap
            wait = table.take(one, KEY, now)
            if wait > 0.01:
                assert table.take(one, KEY, now + wait - 0.01) > 0.0
                now += wait + 1e-5
                assert table.take(one, KEY, now) == 0.0

    @ALGORITHMS
    @given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.7, 3.0])), max_size=60))
    def test_a_denial_takes_nothing(self, kind: Any, steps: list[tuple[bool, float]]) -> None:
        """Who asks in vain in between is let in as often as who does not."""
        one, now = limit(**kind, rate="3/2s"), T0
        patient, hasty = LimitTable(), LimitTable()
        for asks_in_vain, gap in steps:
            now += gap
            wait = hasty.take(one, KEY, now)
            assert wait == patient.take(one, KEY, now)
            if asks_in_vain and wait:
                assert [hasty.take(one, KEY, now) for _ in range(5)] == [wait] * 5

    @ALGORITHMS
    @pytest.mark.parametrize("workers", [1, 3, 4, 16])
    @pytest.mark.parametrize("rate", ["1/s", "10/s", "100/m"])
    def test_all_workers_let_in_the_rate_together(self, kind: Any, workers: int, rate: str) -> None:
        """Over a long time, and no more: each one its share."""
        one = limit(**kind, rate=rate)
        seconds = 400 * one.window
        table = LimitTable(workers=workers)
        step = one.window / one.count / 4
        taken = sum(table.take(one, KEY, T0 + n * step) == 0.0 for n in range(int(seconds / step)))
        wanted = seconds / one.window * one.count / workers
        assert wanted * 0.98 <= taken <= wanted * 1.02 + one.burst

    @ALGORITHMS
    def test_what_is_left_is_told(self, kind: Any) -> None:
        """As the newest draft of RateLimit headers has it."""
        table, one = LimitTable(), limit(**kind, rate="10/10s")
        assert let_in(table, one, 4, T0) == 4
        policy, left = table.pairs([one], [KEY], T0)
        assert policy == (b"RateLimit-Policy", b'"client_ip";q=10;w=10')
        until_more = 1 if kind is BUCKET else 10
        assert left == (b"RateLimit", b'"client_ip";r=6;t=%d' % until_more)
        let_in(table, one, 20, T0)
        assert table.pairs([one], [KEY], T0)[1][1].startswith(b'"client_ip";r=0;t=1')

    @ALGORITHMS
    @given(gaps=gaps)
    def test_what_is_left_is_let_in(self, kind: Any, gaps: list[float]) -> None:
        """Exactly that many, at that moment."""
        table, one, now = LimitTable(), limit(**kind, rate="5/2s"), T0
        for gap in gaps:
            now += gap
            table.take(one, KEY, now)
        table.take(one, KEY, now)
        left = int(dict(table.pairs([one], [KEY], now))[b"RateLimit"].split(b";")[1][2:])
        assert let_in(table, one, 20, now) == left

    @ALGORITHMS
    def test_a_clock_set_back_shuts_nobody_out(self, kind: Any) -> None:
        """For long: an hour that comes twice is no reason to wait an hour."""
        table, one = LimitTable(), limit(**kind)
        let_in(table, one, 50, T0)
        table.take(one, KEY, T0 - 3600)
        assert table.take(one, KEY, T0 - 3600) < 20.0
        assert let_in(table, one, 50, T0 - 3580) == 10

    @ALGORITHMS
    def test_other_terms_begin_anew(self, kind: Any) -> None:
        """A limit that was raised is raised at once."""
        table = LimitTable()
        assert let_in(table, limit(**kind, rate="1/d"), 50, T0) == 1
        assert let_in(table, limit(**kind, rate="20/s"), 50, T0) == 20

    @ALGORITHMS
    def test_equal_terms_go_on(self, kind: Any) -> None:
        """However often the configuration is compiled."""
        table = LimitTable()
        assert let_in(table, limit(**kind), 7, T0) == 7
        assert let_in(table, limit(**kind), 7, T0) == 3


class TokenBucketTests:
    @given(gaps=gaps, burst=st.integers(1, 6))
    def test_it_is_a_bucket(self, gaps: list[float], burst: int) -> None:
        """Against one with exact numbers that is filled drop by drop."""
        table, one = LimitTable(), limit(rate="4/s", burst=burst)
        tokens, now = Fraction(burst), Fraction(0)
        for gap in gaps:
            exact = Fraction(gap).limit_denominator(1000)
            now += exact
            tokens = min(Fraction(burst), tokens + 4 * exact)
            allowed = tokens >= 1
            tokens -= allowed
            assert (table.take(one, KEY, float(now)) == 0.0) == allowed

    def test_a_burst_may_be_larger_than_the_rate(self) -> None:
        """It takes its time to come back."""
        table, one = LimitTable(), limit(burst=40)
        assert let_in(table, one, 100, T0) == 40
        assert let_in(table, one, 100, T0 + 1.0) == 10
        assert let_in(table, one, 100, T0 + 5.0) == 40

    def test_a_fast_rate_is_exact(self) -> None:
        """Though floats of today's time are coarse."""
        table, one = LimitTable(), limit(rate="200000/s", burst=10)
        allowed = sum(table.take(one, KEY, T0 + n / 400_000) == 0.0 for n in range(400_000))
        assert 195_000 <= allowed <= 205_000


class SlidingWindowTests:
    @given(gaps=gaps)
    def test_it_is_two_windows(self, gaps: list[float]) -> None:
        """Against a model that keeps the time of each request."""
        table, one = LimitTable(), limit(**WINDOW, rate="4/s")
        times: list[Fraction] = []
        began, now = None, Fraction(0)
        for gap in gaps:
            now += Fraction(gap).limit_denominator(1000)
            if began is None:
                began = now
            start = began + (now - began) // 1
            taken = sum(time >= start for time in times)
            before = sum(start - 1 <= time < start for time in times)
            allowed = taken + before * (1 - (now - start)) <= 4 - Fraction("0.001")
            assert (table.take(one, KEY, float(now)) == 0.0) == allowed
            if allowed:
                times.append(now)

    def test_a_window_slides(self) -> None:
        """What was let in at its end counts in the next one."""
        table, one = LimitTable(), limit(**WINDOW)
        assert let_in(table, one, 1, T0) == 1
        assert let_in(table, one, 50, T0 + 0.9) == 9
        assert let_in(table, one, 50, T0 + 1.1) == 1
        assert let_in(table, one, 50, T0 + 1.55) == 5


class SeveralLimitsTests:
    def test_all_must_let_a_request_in(self) -> None:
        """The longest wait counts, and whoever denies takes nothing of the others."""
        table = LimitTable()
        both = limits({"rate": "5/s"}, {"rate": "8/m", **WINDOW})
        keys = [KEY, KEY]
        assert [table.take_all(both, keys, T0) for _ in range(5)] == [0.0] * 5
        assert 0.0 < table.take_all(both, keys, T0) <= 0.2
        assert [table.take_all(both, keys, T0 + 1) for _ in range(3)] == [0.0] * 3
        assert table.take_all(both, keys, T0 + 1) > 50
        names = dict(table.pairs(both, keys, T0 + 1))
        assert names[b"RateLimit-Policy"] == b'"client_ip";q=5;w=1, "client_ip-2";q=8;w=60'
        # Three of the five, not four: of what was denied nothing is gone.
        assert names[b"RateLimit"].startswith(b'"client_ip";r=2;t=1, "client_ip-2";r=0;t=')

    def test_a_limit_may_keep_silent(self) -> None:
        """Of one that should not be known, answers tell nothing."""
        table = LimitTable()
        both = limits({"headers": False}, {"headers": False, "rate": "1/m"})
        table.take_all(both, [KEY, KEY], T0)
        assert table.pairs(both, [KEY, KEY], T0) == []


class DecisionTests:
    def test_decisions_are_counted(self) -> None:
        """By what they are; nothing is taken where nobody knows what is left."""
        table = LimitTable()
        let_in(table, limit(rate="5/h"), 7, T0)
        assert table.decisions() == {
            "local allowed": 5,
            "local refused": 2,
            "global allowed": 0,
            "global refused": 0,
        }
        shared = limit(rate="3/h", where="global", on_redis_failure="allow")
        denying = limit(rate="3/h", where="global", on_redis_failure="deny")
        let_in(table, shared, 4, T0)
        let_in(table, denying, 2, T0)
        assert table.decisions()["global allowed"] == 4
        assert table.decisions()["global refused"] == 2

    def test_each_limit_of_a_request_decides(self) -> None:
        """Which of them refused it is what somebody wants to know."""
        table = LimitTable()
        one, two = limits({"rate": "3/h"}, {"rate": "2/h", "where": "global"})
        table.ledger.is_reachable = True
        for _ in range(4):
            table.take_all((one, two), [KEY, KEY], T0)
        assert table.decisions() == {
            "local allowed": 2,
            "local refused": 0,
            "global allowed": 2,
            "global refused": 2,
        }
        table.ledger.is_reachable = False
        (denying,) = limits({"rate": "2/h", "where": "global", "on_redis_failure": "deny"})
        table.take_all((one, denying), [KEY, KEY], T0)
        assert table.decisions()["global refused"] == 3


class AtOnceTests:
    def test_so_many_are_under_way_and_no_more(self) -> None:
        """Until one is over."""
        table, one = LimitTable(), at_once(3)
        assert [table.enter(one, KEY) for _ in range(5)] == [True] * 3 + [False] * 2
        assert table.enter(one, OTHER)
        table.release(one, KEY)
        assert [table.enter(one, KEY) for _ in range(2)] == [True, False]

    def test_a_worker_has_its_share(self) -> None:
        """At least one, and never more than all together."""
        table = LimitTable(workers=4)
        assert sum(table.enter(at_once(10), KEY) for _ in range(20)) == 2
        assert sum(table.enter(at_once(3, key="all"), b"") for _ in range(20)) == 1

    def test_another_number_counts_what_is_under_way(self) -> None:
        """Which goes on whatever is configured."""
        table = LimitTable()
        assert all(table.enter(at_once(5), KEY) for _ in range(5))
        assert not table.enter(at_once(2), KEY)
        for _ in range(5):
            table.release(at_once(2), KEY)
        assert [table.enter(at_once(2), KEY) for _ in range(3)] == [True, True, False]


class ForgettingTests:
    @ALGORITHMS
    def test_what_no_longer_matters_is_forgotten(self, kind: Any) -> None:
        """Of a million addresses nothing is left when they have not come for a while."""
        table, one = LimitTable(), limit(**kind)
        for number in range(1000):
            table.take(one, b"%d" % number, T0)
        table.sweep(T0 + 0.5)
        assert table.counters()["limit_keys_now"] == 1000
        for second in range(1, 8):
            table.sweep(T0 + second)
        assert set(table.counters().values()) == {0}

    @ALGORITHMS
    @given(gaps=gaps)
    def test_forgetting_in_time_lets_nobody_in(self, kind: Any, gaps: list[float]) -> None:
        """Whoever is forgotten would have been let in anyway."""
        one, now = limit(**kind, rate="3/2s"), T0
        swept, kept = LimitTable(), LimitTable()
        for gap in gaps:
            now += gap
            swept.sweep(now)
            # A window that begins anew is not the one that went on: only buckets are the same.
            assert kind is WINDOW or swept.take(one, KEY, now) == kept.take(one, KEY, now)
            assert kind is BUCKET or swept.take(one, KEY, now) < 4.0

    @ALGORITHMS
    def test_a_flood_of_keys_takes_bounded_memory(self, kind: Any) -> None:
        """What is forgotten for it is counted; who comes often is known through it all."""
        table, one = LimitTable(max_keys=1000), limit(**kind, rate="5/d")
        for number in range(20_000):
            table.take(one, b"%d" % number, T0 + number / 1000)
            if number % 100 == 0:
                table.take(one, KEY, T0 + number / 1000)
        table.sweep(T0 + 20)
        assert 0 < table.counters()["limit_keys_now"] <= 1000
        assert table.counters()["limit_keys_forgotten"] > 15_000
        assert table.take(one, KEY, T0 + 20) > 0.0

    def test_many_limits_share_the_bound(self) -> None:
        """Those that hold most make room; who comes again meanwhile is known."""
        table = LimitTable(max_keys=1000)
        many = [limit(rate="5/d", key=f"header:x-{number}") for number in range(10)]
        for one in many:
            for number in range(450):
                table.take(one, b"%d" % number, T0)
        table.sweep(T0 + 1)
        assert table.counters()["limit_keys_now"] == 4500
        for _ in range(5):
            assert table.take(many[0], KEY, T0) == 0.0
            table.sweep(T0 + 1)
        assert table.take(many[0], KEY, T0) > 0.0
        assert table.counters()["limit_keys_now"] <= 1000
        assert table.counters()["limit_keys_forgotten"] == 4500
