"""Leaves: the routes of one host pattern and one path."""

from __future__ import annotations

import pytest

from fengling_gateway.routing.leaf import (
    Choice,
    Leaf,
    first_above,
    make_leaf,
    routes_of,
    with_route,
    without_route,
)
from fengling_gateway.routing.route import Route
from tests.routing.builders import Request, make_match, make_route, make_test

IN_ORDER = [
    make_route("high", priority=1),
    make_route("get", methods=["GET"]),
    make_route("put", methods=["PUT"]),
    make_route("y", match=make_match(counts_as=2**40)),
    make_route("x", match=make_match(headers=[make_test("a", "exists")], counts_as=3)),
    make_route("tests", match=make_match(headers=[make_test("a", "exists")])),
    make_route("a"),
    make_route("b"),
]
"""Of the same path, in the order they are tried."""


def leaf_of(routes: list[Route]) -> Leaf | None:
    leaf = None
    for route in routes:
        leaf = with_route(leaf, route)
    return leaf


def names(leaf: Leaf | None) -> list[str]:
    return [] if leaf is None else [route.id for route in routes_of(leaf)]


class LeafTests:
    @pytest.mark.parametrize("routes", [IN_ORDER, IN_ORDER[::-1], IN_ORDER[3:] + IN_ORDER[:3]])
    def test_routes_are_in_the_order_they_are_tried(self, routes: list[Route]) -> None:
        """Whether they are added one by one or are there at once."""
        expected = [route.id for route in IN_ORDER]
        assert names(leaf_of(routes)) == names(make_leaf(routes)) == expected

    def test_single_route_is_its_leaf(self) -> None:
        """One object less to look at; of none there is no leaf."""
        route = make_route()
        assert leaf_of([route]) is make_leaf([route]) is route
        assert make_leaf([]) is None

    def test_removal_leaves_the_others_in_order(self) -> None:
        """Until nothing is left; the leaf before stays as it was."""
        full = leaf = leaf_of(IN_ORDER)
        for at, route in enumerate(IN_ORDER):
            leaf = without_route(leaf, route)
            assert names(leaf) == [one.id for one in IN_ORDER[at + 1 :]]
        assert leaf is None
        assert names(full) == [route.id for route in IN_ORDER]

    @pytest.mark.parametrize("there", [[], IN_ORDER[:1], IN_ORDER[:2], IN_ORDER[1:]])
    def test_removing_what_is_not_there_raises(self, there: list[Route]) -> None:
        """Also if another of that id is."""
        for stranger in (make_route("high", priority=1), make_route("z"), make_route("c")):
            with pytest.raises(KeyError, match=stranger.id):
                without_route(leaf_of(there), stranger)

    @pytest.mark.parametrize("number", [8, 9, 10, 20])
    def test_many_routes_answer_like_few(self, number: int) -> None:
        """Beyond eight they are looked up, and asked again when fewer are left."""
        routes = [
            make_route(f"r{n:02}", match=make_match(headers=[make_test("h", "equals", str(n))]))
            for n in range(number)
        ]
        leaf = leaf_of(routes)
        left = list(routes)
        while len(left) > 1:
            assert isinstance(leaf, Choice)
            if leaf.index is not None:
                assert len(left) > 8
            for route in routes:
                value = route.id[1:].lstrip("0") or "0"
                found = leaf.taking(Request(headers={b"h": value.encode()}), 0.0)
                assert found is (route if route in left else None)
            leaf = without_route(leaf, left.pop(len(left) // 2))
        assert leaf is left[0]

    def test_time_is_asked_of_many_routes_too(self) -> None:
        """Those that are looked up."""
        leaf = leaf_of([make_route(f"r{n}", valid_from=10.0 + n) for n in range(9)])
        assert leaf is not None
        assert leaf.taking(Request(), 9.0) is None
        found = leaf.taking(Request(), 10.0)
        assert found is not None
        assert found.id == "r0"

    def test_more_than_eight_routes_are_looked_up(self) -> None:
        """One more or one less keeps the index, or ends it."""
        routes = [make_route(f"r{n}", methods=["GET"]) for n in range(9)]
        few = leaf_of(routes[:8])
        assert isinstance(few, Choice)
        assert few.index is None
        many = with_route(few, routes[8])
        assert isinstance(many, Choice)
        assert many.index is not None
        more = with_route(many, make_route("s"))
        less = without_route(more, routes[0])
        assert isinstance(less, Choice)
        assert less.index is not None
        few = without_route(less, routes[1])
        assert isinstance(few, Choice)
        assert few.index is None


class FirstAboveTests:
    def test_only_a_higher_priority_counts(self) -> None:
        """Without anything to beat, whatever takes the request."""
        low, high = make_route("low"), make_route("high", priority=2)
        asked = (Request(), 0.0)
        assert first_above(low, *asked, None) is low
        assert first_above(low, *asked, make_route("other")) is None
        assert first_above(low, *asked, make_route("other", priority=1)) is None
        assert first_above(high, *asked, make_route("other", priority=1)) is high
        assert first_above(high, *asked, make_route("other", priority=2)) is None

    def test_route_that_takes_the_request_must_be_the_higher(self) -> None:
        """Of several, the highest may not take it."""
        put = make_route("put", priority=5, methods=["PUT"])
        leaf = make_leaf([put, make_route("all", priority=1)])
        assert leaf is not None
        best = make_route("best", priority=1)
        assert first_above(leaf, Request(), 0.0, best) is None
        assert first_above(leaf, Request(method=b"PUT"), 0.0, best) is put
        found = first_above(leaf, Request(), 0.0, make_route("least"))
        assert found is not None
        assert found.id == "all"
        assert first_above(put, Request(), 0.0, None) is None

    def test_time_is_asked(self) -> None:
        """As of any route."""
        route = make_route("r", valid_from=10.0)
        assert first_above(route, Request(), 9.0, None) is None
        assert first_above(route, Request(), 10.0, None) is route
