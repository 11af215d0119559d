"""Counters of pairs of route and service: their own, and those that count together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.dataplane.counters import (
    LATENCY_BOUNDS,
    MAX_FOLDED,
    OTHER,
    SIZE_BOUNDS,
    Counters,
    Histogram,
)
from fengling_gateway.http.forward_error import ForwardError
from tests.dataplane.rig import Rig
from tests.dataplane.snapshots import Entity, answering_route


def requests(counters: Counters) -> dict[tuple[str, str], int]:
    """Return the number of exchanges by route and service, as they are shown."""
    rows = counters.to_json()["requests"]
    assert len({(route, service) for route, service, _, _ in rows}) == len(rows)
    return {(route, service): sum(by_class) for route, service, by_class, _ in rows}


def durations(counters: Counters) -> dict[str, int]:
    """Return how many exchanges the histogram of each service holds."""
    services = counters.to_json()["services"]
    return {service: sum(found["latency"][:-1]) for service, found in services.items()}


def count(counters: Counters, *pairs: tuple[str, str]) -> None:
    for pair in pairs:
        counters.record(pair, 200, 0.01, None)


class CountersTests:
    def test_first_pairs_count_by_themselves_and_later_ones_together(self) -> None:
        """And a pair that has its place keeps it, however many come after it."""
        counters = Counters(max_pairs=2)
        count(counters, ("a", "s"), ("b", "s"), ("c", "s"), ("d", "s"), ("c", "s"), ("a", "s"))
        assert requests(counters) == {("a", "s"): 2, ("b", "s"): 1, (OTHER, "s"): 3}
        assert counters.to_json()["folded_now"] == 2

    def test_failures_of_later_pairs_count_together_too(self) -> None:
        """By their codes, as everybody's."""
        counters = Counters(max_pairs=1)
        count(counters, ("a", "s"))
        for route in ("b", "c"):
            counters.record((route, "s"), 503, 0.0, ForwardError.NO_INSTANCE)
        assert [OTHER, "s", [0, 0, 0, 0, 0, 2], {"no_instance": 2}] in counters.to_json()[
            "requests"
        ]

    def test_what_came_to_no_route_is_always_told_apart(self) -> None:
        """Requests that nobody serves must not hide among served ones."""
        counters = Counters(max_pairs=0)
        count(counters, ("a", "s"), ("", ""))
        assert requests(counters) == {("", ""): 1, (OTHER, OTHER): 1}
        assert durations(counters) == {"": 1, OTHER: 1}

    def test_durations_of_a_service_are_whole_whatever_its_routes(self) -> None:
        """A histogram that held only the first routes' requests would be a wrong one."""
        counters = Counters(max_pairs=20)
        count(counters, *((f"r{number}", f"s{number % 2}") for number in range(100)))
        assert durations(counters) == {"s0": 50, "s1": 50}

    def test_there_is_a_tenth_as_many_histograms(self) -> None:
        """Later services have theirs together; their pairs keep their names."""
        counters = Counters(max_pairs=20)
        count(counters, *((f"r{number}", f"s{number}") for number in range(15)))
        assert durations(counters) == {"s0": 1, "s1": 1, OTHER: 13}
        assert requests(counters)["r14", "s14"] == 1

    @pytest.mark.parametrize("service", ["s", OTHER])
    def test_route_that_is_called_other_makes_no_second_series(self, service: str) -> None:
        """A scrape with two samples of one series fails as a whole."""
        counters = Counters(max_pairs=2)
        count(counters, ("a", "s"), (OTHER, service))
        assert counters.to_json()["folded_now"] == 0
        count(counters, ("b", "s"), ("c", "s"), (OTHER, service))
        assert requests(counters)[OTHER, service] >= 2

    def test_deleted_pair_makes_room_for_one_that_is_there(self) -> None:
        """What that one had counted among the others stays there."""
        counters = Counters(max_pairs=2)
        count(counters, ("a", "s"), ("b", "s"), ("c", "s"))
        counters.make_room(lambda route, _service: route != "a")
        count(counters, ("c", "s"), ("b", "s"))
        assert requests(counters) == {("b", "s"): 2, ("c", "s"): 1, (OTHER, "s"): 1}
        assert counters.to_json()["folded_now"] == 0

    def test_deleted_pair_stays_where_there_is_room(self) -> None:
        """Who sums counters up sees them fall only where that buys something."""
        counters = Counters(max_pairs=2)
        count(counters, ("a", "s"), ("b", "s"))
        counters.make_room(lambda *_: False)
        assert requests(counters) == {("a", "s"): 1, ("b", "s"): 1}

    def test_deleted_service_makes_room_for_another_histogram(self) -> None:
        """Not for one that has pairs among the others: it would be split in two."""
        counters = Counters(max_pairs=10)
        count(counters, ("a", "gone"), *((f"r{number}", "old") for number in range(10)))
        counters.make_room(lambda _route, service: service != "gone")
        count(counters, ("r0", "old"), ("new", "new"))
        assert durations(counters) == {OTHER: 11, "new": 1}

    def test_pairs_that_are_told_apart_are_bounded(self) -> None:
        """Nobody needs to know by how much there are too many."""
        counters = Counters(max_pairs=0)
        count(counters, *((f"r{number}", "s") for number in range(MAX_FOLDED + 1)))
        assert counters.to_json()["folded_now"] == MAX_FOLDED


def test_route_that_is_deleted_makes_room_after_it_has_been_shown() -> None:
    """What a data plane serves decides; the last counts of a route are not lost."""

    def answers(*routes: str) -> list[Entity]:
        respond = {"status": 200, "headers": {}, "body": "hi"}
        return [answering_route(name, f"/{name}", respond=respond) for name in routes]

    def ask(*routes: str) -> None:
        for name in routes:
            rig.ask(b"GET /%b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % name.encode())
        rig.settle()

    def shown() -> dict[str, int]:
        return {route: sum(by_class) for route, _, by_class, _ in rig.counters()["requests"]}

    rig = Rig(*answers("a", "b"), max_metric_pairs=1)
    ask("a", "b", "b")
    assert shown() == {"a": 1, OTHER: 2}
    rig.apply(*answers("b"))
    assert shown() == {"a": 1, OTHER: 2}
    ask("b")
    assert shown() == {"b": 1, OTHER: 2}
    rig.close()


def test_totals_are_of_everything() -> None:
    """Pairs without a place of their own included; errors of ours and of instances apart."""
    counters = Counters(max_pairs=1)
    counters.record(("r1", "s1"), 200, 0.0005, None)
    counters.record(("r1", "s1"), 503, 0.02, None)
    counters.record(("r2", "s2"), 502, 0.02, ForwardError.CONNECT_FAILED)
    counters.record(("", ""), 404, 100.0, ForwardError.NO_ROUTE)
    counters.connections_now, counters.in_flight_now = 5, 2
    totals = counters.totals()
    latency = totals.pop("latency")
    assert totals == {
        "requests": 4,
        "errors": 1,
        "instance_errors": 1,
        "connections": 5,
        "in_flight": 2,
    }
    assert (len(latency), sum(latency), latency[0], latency[-1]) == (
        len(LATENCY_BOUNDS) + 1,
        4,
        1,
        1,
    )


def test_totals_of_nothing_are_told_too() -> None:
    """With as many buckets as ever."""
    totals = Counters().totals()
    assert (totals["requests"], totals["latency"]) == (0, [0] * (len(LATENCY_BOUNDS) + 1))


def test_histograms_of_a_service() -> None:
    """Times, and sizes of bodies; the time to the first byte only of what an instance has answered."""
    counters = Counters()
    counters.record(("r", "s"), 200, 0.02, None, 0.003, 0, 300)
    counters.record(("r", "s"), 503, 0.0001, ForwardError.NO_INSTANCE, received=1 << 40, sent=256)
    found = counters.to_json()["services"]["s"]
    assert found["latency"][-1] == pytest.approx(0.0201)
    assert sum(found["latency"][:-1]) == 2
    assert (sum(found["first_byte"][:-1]), found["first_byte"][-1]) == (1, 0.003)
    assert found["first_byte"][LATENCY_BOUNDS.index(0.005)] == 1
    assert (found["received"][0], found["received"][-2]) == (1, 1)
    assert (found["sent"][SIZE_BOUNDS.index(256)], found["sent"][SIZE_BOUNDS.index(1024)]) == (1, 1)
    assert found["sent"][-1] == 556


@given(st.lists(st.integers(0, 1 << 30)))
def test_histogram_counts_each_value_once_below_its_bound(values: list[int]) -> None:
    histogram = Histogram(SIZE_BOUNDS)
    for value in values:
        histogram.add(value)
    assert histogram.sum == sum(values)
    for number, bound in enumerate(SIZE_BOUNDS):
        assert sum(histogram.buckets[: number + 1]) == sum(1 for one in values if one <= bound)
    assert sum(histogram.buckets) == len(values)
