"""Rates and percentiles of the sums that workers tell."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.dataplane.counters import LATENCY_BOUNDS, Counters
from fengling_gateway.supervisor.traffic import Traffic, percentile_ms, together

NONE = [0] * (len(LATENCY_BOUNDS) + 1)


def totals(requests: int = 0, **changes: Any) -> dict[str, Any]:
    """Return what a worker tells that has served so many requests in 20 to 25 ms each."""
    buckets = [requests if bound == 0.025 else 0 for bound in (*LATENCY_BOUNDS, None)]
    return {**Counters().totals(), "requests": requests, "latency": buckets, **changes}


def beating(*told: dict[str, Any], from_second: float = 0.0) -> Traffic:
    traffic = Traffic()
    for number, one in enumerate(told):
        traffic.told(one, now=from_second + number)
    return traffic


def test_a_worker_that_has_just_begun_has_no_rate_yet() -> None:
    """Nor has one that tells nothing at all."""
    for traffic in (beating(), beating(totals(100))):
        values = traffic.values(now=0.0)
        assert (values["requests_per_s"], values["p50_ms"]) == (0.0, None)


def test_rates_are_of_the_last_three_seconds() -> None:
    """What was before counts no more."""
    told = [totals(1000 * second) for second in range(5)]
    told += [totals(4000 + 10 * second, errors=2 * second) for second in range(1, 4)]
    traffic = beating(*told)
    values = traffic.values(now=7.2)
    assert (values["requests_per_s"], values["errors_per_s"]) == (10.0, 2.0)


def test_errors_of_instances_are_part_of_all_errors() -> None:
    """Told apart, for it is somebody else's turn."""
    traffic = beating(totals(), totals(8, errors=1, instance_errors=3))
    values = traffic.values(now=1.0)
    assert (values["errors_per_s"], values["instance_errors_per_s"]) == (4.0, 3.0)


def test_percentiles_are_of_ten_seconds() -> None:
    """A slow minute is over after ten seconds."""
    slow = [0] * len(LATENCY_BOUNDS) + [5]
    told = [totals(), totals(latency=slow)]
    later = [*NONE]
    later[0], later[-1] = 10, 5
    traffic = beating(*told, *[totals(latency=slow)] * 5, totals(latency=later))
    assert traffic.values(now=7.0)["p99_ms"] == 60_000
    assert traffic.values(now=11.6)["p99_ms"] == 0.99
    assert traffic.values(now=30.0)["p99_ms"] is None


def test_a_silent_worker_serves_nothing_that_is_known() -> None:
    """It hangs, or has died of late: no old rate goes on for ever."""
    traffic = beating(totals(), totals(100))
    assert traffic.values(now=2.0)["requests_per_s"] == 100.0
    assert traffic.values(now=6.0)["requests_per_s"] == 0.0


def test_a_counter_that_falls_is_no_negative_rate() -> None:
    """Of routes that are gone nothing is counted any more."""
    values = beating(totals(100), totals(40)).values(now=1.0)
    assert (values["requests_per_s"], values["p50_ms"]) == (0.0, None)


def test_several_workers_are_added_up_and_their_percentiles_are_of_all() -> None:
    """Not the middle of two middles."""
    fast, slow = [*NONE], [*NONE]
    fast[0], slow[-1] = 99, 1
    workers = [
        beating(totals(), totals(99, latency=fast, connections=3, in_flight=1)),
        beating(totals(), totals(1, latency=slow, connections=4), from_second=0.5),
    ]
    values = together(workers, now=1.5)
    assert values == {
        "requests_per_s": 100.0,
        "errors_per_s": 0.0,
        "instance_errors_per_s": 0.0,
        "p50_ms": 0.51,
        "p99_ms": 1.0,
        "connections": 7,
        "in_flight": 1,
    }
    assert together([], now=1.5)["requests_per_s"] == 0.0


@pytest.mark.parametrize(("share", "expected"), [(0.1, 1.15), (0.5, 1.75), (1.0, 2.5)])
def test_within_a_bucket_requests_are_spread_evenly(share: float, expected: float) -> None:
    """Here that from 1 to 2.5 ms; rounded to hundredths."""
    buckets = [*NONE]
    buckets[1] = 3
    assert percentile_ms(buckets, share) == pytest.approx(expected, abs=0.01)


@given(st.lists(st.integers(0, 50), min_size=len(NONE), max_size=len(NONE)), st.floats(0.01, 1.0))
def test_a_percentile_lies_in_the_bucket_that_holds_it(buckets: list[int], share: float) -> None:
    """Where there is any request at all."""
    found = percentile_ms(buckets, share)
    if not sum(buckets):
        assert found is None
        return
    sums = list(itertools.accumulate(buckets))
    index = next(i for i, count in enumerate(sums) if count >= sum(buckets) * share - 1e-9)
    upper = (*LATENCY_BOUNDS, LATENCY_BOUNDS[-1])[index] * 1000
    lower = (0.0, *LATENCY_BOUNDS)[index] * 1000
    assert found is not None
    assert lower - 0.01 <= found <= upper + 0.01
