"""What routes have served of late."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any, TypeVar
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.observability.sums import Values
from fengling_gateway.supervisor import route_sums
from fengling_gateway.supervisor.route_sums import RouteSums, Sort

T = TypeVar("T")


def done(work: Generator[None, None, T]) -> T:
    """Do all of it at once."""
    while True:
        try:
            next(work)
        except StopIteration as ended:
            found: T = ended.value
            return found


def seen(sums: RouteSums, sort: Sort = "rate", limit: int = 10) -> dict[str, Any]:
    return done(sums.busiest(sort, limit))


def routes(sums: RouteSums, sort: Sort = "rate", limit: int = 10) -> list[str | None]:
    return [one["route"] for one in seen(sums, sort, limit)["items"]]


class RouteSumsTests(TestCase):
    """`RouteSums`"""

    def setUp(self) -> None:
        self.counters = Counters()
        self.sums = RouteSums(now=0.0)

    def count(self, route: str, times: int, *, status: int = 200, seconds: float = 0.003) -> None:
        for _ in range(times):
            self.counters.record((route, f"of-{route}" if route else ""), status, seconds, None)

    def gather(self, now: float, *others: Values) -> None:
        done(self.sums.add([self.counters.to_json(), *others], now=now))

    def test_rates_are_of_each_window(self) -> None:
        """Of what has been counted since its beginning, by as many seconds as that really is."""
        for second in range(10, 80, 10):
            self.count("steady", 10)
            if second == 70:
                self.count("new", 20)
            self.gather(float(second))
        found = seen(self.sums)
        assert found["windows"] == {"last_10s": 10.0, "last_60s": 60.0}
        first, second_one = found["items"]
        assert (first["route"], first["service"]) == ("new", "of-new")
        assert first["last_10s"]["requests_per_s"] == 2.0
        assert first["last_60s"]["requests_per_s"] == round(20 / 60, 2)
        for window in ("last_10s", "last_60s"):
            assert second_one[window]["requests_per_s"] == 1.0

    def test_classes_and_errors(self) -> None:
        """A failure after the head is one although its status was good."""
        self.count("a", 6)
        self.count("a", 2, status=404)
        self.count("a", 1, status=503)
        error = ForwardError.CONNECT_FAILED
        self.counters.record(("cut", "s"), 200, 0.1, error)
        self.counters.record(("gone", "s"), 499, 0.1, ForwardError.CLIENT_GONE)
        self.gather(10.0)
        found = {one["route"]: one["last_10s"] for one in seen(self.sums)["items"]}
        assert found["a"]["by_class"] == {
            **dict.fromkeys(("none", "1xx", "3xx"), 0),
            "2xx": 6,
            "4xx": 2,
            "5xx": 1,
        }
        assert (found["a"]["error_ratio"], found["a"]["errors_per_s"]) == (round(1 / 9, 4), 0.1)
        assert (found["cut"]["error_ratio"], found["gone"]["error_ratio"]) == (1.0, 0.0)

    def test_what_is_asked_for_comes_first(self) -> None:
        """And only so much of it."""
        self.count("busy", 50, seconds=0.0005)
        self.count("slow", 2, seconds=4.0)
        self.count("broken", 5, status=500)
        self.count("", 1, status=404)
        self.gather(10.0)
        assert routes(self.sums) == ["busy", "broken", "slow", None]
        assert routes(self.sums, "errors")[0] == "broken"
        assert routes(self.sums, "latency")[:2] == ["slow", "broken"]
        assert routes(self.sums, limit=1) == ["busy"]
        assert seen(self.sums, limit=1)["routes"] == 4

    def test_latency_is_of_the_service(self) -> None:
        """In the window, not since the start."""
        self.count("a", 100, seconds=4.0)
        self.gather(10.0)
        self.count("a", 100, seconds=0.0005)
        self.gather(20.0)
        [one] = seen(self.sums)["items"]
        assert one["last_10s"]["p99_ms"] < 1.1
        assert one["last_60s"]["p99_ms"] > 2000

    def test_route_without_requests_of_late_is_not_told(self) -> None:
        """Nor has it a latency: none of its requests has taken any time."""
        self.count("past", 5)
        self.gather(10.0)
        for second in range(20, 80, 10):
            self.gather(float(second))
        assert seen(self.sums)["items"] == []

    def test_workers_are_added_up(self) -> None:
        """Also those that are gone, so that a worker that dies takes no requests back."""
        self.count("a", 10)
        others = Counters()
        for _ in range(5):
            others.record(("a", "of-a"), 200, 0.003, None)
        self.gather(10.0, others.to_json())
        assert seen(self.sums)["items"][0]["last_10s"]["by_class"]["2xx"] == 15

    def test_what_was_forgotten_counts_nothing(self) -> None:
        """Counters of a route that is gone begin anew; less than nothing is never told."""
        self.count("a", 10)
        self.count("b", 1)
        self.gather(10.0)
        self.counters = Counters()
        self.count("b", 3)
        self.gather(20.0)
        found = seen(self.sums)
        assert [one["route"] for one in found["items"]] == ["b"]
        assert found["items"][0]["last_10s"]["by_class"]["2xx"] == 2

    def test_pairs_that_have_gone_are_forgotten(self) -> None:
        """Where there are too many: all begins anew. Those that are counted have room."""
        self.addCleanup(setattr, route_sums, "MAX_PAIRS", route_sums.MAX_PAIRS)
        route_sums.MAX_PAIRS = 3  # type: ignore[misc]
        self.sums = RouteSums(now=0.0)
        for number in range(5):
            self.count(f"r{number}", 1)
        self.gather(10.0)
        self.gather(20.0)
        assert len(seen(self.sums)["items"]) == 5
        for start in (10, 20, 30):
            self.counters = Counters()
            for number in range(start, start + 5):
                self.count(f"r{number}", 1)
            self.gather(20.0 + start)
        assert seen(self.sums)["items"] == []
        self.count("r30", 4)
        self.gather(60.0)
        assert routes(self.sums) == ["r30"]

    def test_few_moments_are_kept(self) -> None:
        """However often is looked, and however long."""
        for tick in range(400):
            self.count("a", 1)
            self.gather(tick * 1.5)
        assert len(self.sums._moments) < 20
        found = seen(self.sums)
        assert 9.5 <= found["windows"]["last_10s"] <= 20
        assert 57 <= found["windows"]["last_60s"] <= 75
        for one in found["items"]:
            assert abs(one["last_60s"]["requests_per_s"] - 1 / 1.5) < 0.05


_counts = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from([200, 404, 500]), st.integers(1, 30)),
    max_size=12,
)


@given(st.lists(_counts, min_size=1, max_size=8), st.sampled_from(route_sums.SORTS))
def test_sums_are_those_of_a_list_of_requests(rounds: list[Any], sort: Sort) -> None:
    """Each ten seconds some requests, on three workers: what is told is what there was."""
    workers, sums = [Counters() for _ in range(3)], RouteSums(now=0.0)
    rng = random.Random(1)
    for number, counted in enumerate(rounds):
        for route, status, times in counted:
            for _ in range(times):
                rng.choice(workers).record((route, "s"), status, 0.01, None)
        done(sums.add([one.to_json() for one in workers], now=10.0 * (number + 1)))
    found = seen(sums, sort)
    for window, last in (("last_10s", rounds[-1:]), ("last_60s", rounds[-6:])):
        for one in found["items"]:
            mine = [it for counted in last for it in counted if it[0] == one["route"]]
            for name, status in (("2xx", 200), ("4xx", 404), ("5xx", 500)):
                expected = sum(times for _, its, times in mine if its == status)
                assert one[window]["by_class"][name] == expected
    asked = {route for counted in rounds[-6:] for route, *_ in counted}
    assert {one["route"] for one in found["items"]} == asked
    keys = {"rate": "requests_per_s", "errors": "errors_per_s"}
    if sort in keys:
        values = [one["last_10s"][keys[sort]] for one in found["items"]]
        assert values == sorted(values, reverse=True)
