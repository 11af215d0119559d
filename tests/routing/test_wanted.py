"""Many routes of one path, looked up by the values that they want."""

from __future__ import annotations

from typing import Any

import pytest

from fengling_gateway.routing.route import Route
from fengling_gateway.routing.wanted import WantedIndex
from tests.routing.builders import Request, make_match, make_route, make_test


def wanting(name: str, value: str, **given: Any) -> Route:
    """A route that wants a header to have a value."""
    test = make_test("x-tier", "equals", value)
    return make_route(name, match=make_match(headers=[test]), **given)


def taken(index: WantedIndex, now: float = 0.0, **request: Any) -> str:
    route = index.taking(Request(**request), now)
    return "" if route is None else route.id


def tier(value: bytes) -> dict[bytes, bytes]:
    return {b"x-tier": value}


class TakingTests:
    def test_request_gets_the_route_that_wants_its_value(self) -> None:
        """One with another value, or without any, gets none of them."""
        index = WantedIndex.of([wanting("a", "gold"), wanting("b", "iron")])
        assert taken(index, headers=tier(b"gold")) == "a"
        assert taken(index, headers=tier(b"iron")) == "b"
        assert taken(index, headers=tier(b"tin")) == ""
        assert taken(index) == ""

    def test_route_that_wants_nothing_takes_the_rest(self) -> None:
        """It is asked like all others, and comes after those with conditions."""
        routes = [make_route("rest"), wanting("a", "gold")]
        for index in (WantedIndex.of(routes), WantedIndex.of(routes[::-1])):
            assert taken(index, headers=tier(b"gold")) == "a"
            assert taken(index, headers=tier(b"tin")) == "rest"
            assert taken(index) == "rest"

    def test_each_method_of_a_route_leads_to_it(self) -> None:
        """And no other does."""
        index = WantedIndex.of(
            [make_route("read", methods=["GET", "HEAD"]), make_route("write", methods=["PUT"])]
        )
        assert taken(index, method=b"GET") == taken(index, method=b"HEAD") == "read"
        assert taken(index, method=b"PUT") == "write"
        assert taken(index, method=b"POST") == ""

    def test_all_values_that_a_route_wants_are_needed(self) -> None:
        """Fields of any kind, in whatever order they are written."""
        match = make_match(
            headers=[make_test("b", "equals", "1"), make_test("a", "equals", "2")],
            cookies=[make_test("c", "equals", "3")],
        )
        index = WantedIndex.of([make_route("r", match=match)])
        headers = {b"a": b"2", b"b": b"1", b"cookie": b"c=3"}
        assert taken(index, headers=headers) == "r"
        for name in headers:
            assert taken(index, headers={**headers, name: b"c=4"}) == ""
            assert taken(index, headers={one: headers[one] for one in headers if one != name}) == ""

    def test_case_is_ignored_where_the_route_ignores_it(self) -> None:
        """Of one field, one route may and another may not."""
        loose = make_test("x-tier", "equals", "Gold", ignore_case=True)
        index = WantedIndex.of(
            [make_route("loose", match=make_match(headers=[loose])), wanting("exact", "Gold")]
        )
        assert taken(index, headers=tier(b"Gold")) == "exact"
        assert taken(index, headers=tier(b"GOLD")) == "loose"

    def test_what_is_no_comparison_is_asked_of_those_found(self) -> None:
        """A route that fails leaves the request to the next with the same values."""
        match = make_match(
            headers=[make_test("x-tier", "equals", "gold"), make_test("beta", "exists")]
        )
        index = WantedIndex.of([make_route("beta", match=match), wanting("all", "gold")])
        assert taken(index, headers={**tier(b"gold"), b"beta": b"1"}) == "beta"
        assert taken(index, headers=tier(b"gold")) == "all"

    def test_time_is_asked_too(self) -> None:
        """As of any route."""
        index = WantedIndex.of([wanting("r", "gold", valid_from=10.0)])
        assert taken(index, 9.0, headers=tier(b"gold")) == ""
        assert taken(index, 10.0, headers=tier(b"gold")) == "r"

    @pytest.mark.parametrize("backwards", [False, True])
    def test_best_of_all_fields_wins(self, *, backwards: bool) -> None:
        """Priority, method, conditions and id decide, wherever the routes are filed."""
        routes = [
            make_route("high", priority=1, methods=["PUT"]),
            make_route("get", methods=["GET"]),
            wanting("a", "gold"),
            wanting("b", "gold"),
            make_route("rest"),
        ]
        left = list(routes)
        while left:
            index = WantedIndex.of(left[::-1] if backwards else left)
            expected = left[0].id
            method = b"PUT" if expected == "high" else b"GET"
            assert taken(index, method=method, headers=tier(b"gold")) == expected
            left.pop(0)


class ChangeTests:
    def test_route_that_is_taken_out_leaves_the_others(self) -> None:
        """And the index before as it was."""
        routes = [wanting("a", "gold"), wanting("b", "gold"), wanting("c", "iron")]
        index = WantedIndex.of(routes)
        without = index.without_route(routes[0])
        assert taken(without, headers=tier(b"gold")) == "b"
        assert taken(without, headers=tier(b"iron")) == "c"
        assert taken(index, headers=tier(b"gold")) == "a"
        assert taken(without.with_route(routes[0]), headers=tier(b"gold")) == "a"

    def test_nothing_is_looked_at_for_routes_that_are_gone(self) -> None:
        """Neither a value nor a field that nobody wants any more."""
        route = make_route("r", match=make_match(query=[make_test("v", "equals", "1")]))
        index = WantedIndex.of([route, wanting("a", "gold")]).without_route(route)
        assert taken(index, query=b"v=1") == ""
        asked: list[str] = []

        class Watched(Request):
            def __getattribute__(self, name: str) -> Any:
                asked.append(name)
                return super().__getattribute__(name)

        index.taking(Watched(), 0.0)
        assert "header" in asked
        assert "query" not in asked

    def test_methods_of_a_route_go_together(self) -> None:
        """It is filed under each, and nowhere afterwards."""
        route = make_route("r", methods=["GET", "PUT"])
        index = WantedIndex.of([route, make_route("rest")]).without_route(route)
        assert taken(index, method=b"GET") == taken(index, method=b"PUT") == "rest"

    def test_number_of_values_has_no_bound(self) -> None:
        """Thousands of routes with a value each, that come and go."""
        routes = [wanting(f"r{n}", f"v{n}") for n in range(1500)]
        index = WantedIndex.of(routes)
        for n in (0, 700, 1499):
            assert taken(index, headers=tier(b"v%d" % n)) == f"r{n}"
        index = index.without_route(routes[700])
        assert taken(index, headers=tier(b"v700")) == ""
        assert taken(index, headers=tier(b"v701")) == "r701"
