"""What is odd about a set of routes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.linter import lint, lint_because_of
from fengling_gateway.routing.route import compile_route
from tests.routing.builders import Request, make_match, make_route, make_test
from tests.routing.linear import choose
from tests.routing.strategies import change_lists, requests


def findings(*routes: Any) -> list[tuple[str, str, str | None]]:
    cache = RouteCache.empty().apply((route.id, route) for route in routes)
    return sorted((f.code, f.route, f.other) for f in lint(cache))


CANARY = make_match(headers=[make_test("x-canary", "equals", "1")])
OTHER = make_match(headers=[make_test("x-canary", "equals", "2")])


class ShadowTests:
    @pytest.mark.parametrize(
        ("shadow", "shadowed"),
        [
            ({"path": "/a/{**r}", "priority": 1}, {"path": "/a/b"}),
            ({"priority": 1}, {"path": "/a/{x}/{**r}", "hosts": ["h", "*.x"]}),
            ({"hosts": ["*.x"], "priority": 1}, {"hosts": ["*.a.x", "b.x"]}),
            ({}, {"path": "~/a.*"}),
            ({"path": "/{x}/b", "priority": 1}, {"path": "/a/b", "methods": ["GET"]}),
            ({"path": "~/a", "priority": 1}, {"path": "~/a", "match": CANARY}),
            ({"valid_to": 20.0, "priority": 1}, {"valid_to": 10.0, "valid_from": 5.0}),
        ],
    )
    def test_a_route_that_cannot_win_is_told_with_its_shadow(
        self, shadow: dict[str, Any], shadowed: dict[str, Any]
    ) -> None:
        """Something before it takes all its requests, under every host it has."""
        found = findings(make_route("over", **shadow), make_route("under", **shadowed))
        assert found == [("shadowed", "under", "over")]

    @pytest.mark.parametrize(
        ("shadow", "beside"),
        [
            ({"path": "/a/{**r}"}, {"path": "/a/b"}),
            ({"hosts": ["h"], "priority": 1}, {"hosts": ["h", "i"]}),
            ({"priority": 1, "methods": ["GET"]}, {}),
            ({"priority": 1, "match": CANARY}, {}),
            ({"priority": 1, "valid_from": 5.0}, {}),
            ({"priority": 1, "valid_to": 5.0}, {"valid_to": 9.0}),
            ({"priority": 1, "tenant_id": "t"}, {}),
            ({"priority": 1, "path": "/{x}"}, {"path": "/"}),
            ({"priority": 1, "path": "/a/{x}"}, {"path": "/a/{x}/{**r}"}),
            ({"priority": 1, "path": "/a/b"}, {"path": "/a/{x}"}),
            ({"priority": 1, "path": "/a/{**r}"}, {"path": "~/a/.*"}),
            ({"priority": 1, "enabled": False}, {}),
        ],
    )
    def test_a_route_that_can_win_is_left_alone(
        self, shadow: dict[str, Any], beside: dict[str, Any]
    ) -> None:
        """Something is left for it: a path, a host, a method, a time, a tenant."""
        assert findings(make_route("over", **shadow), make_route("under", **beside)) == []


class TieTests:
    def test_routes_told_apart_by_id_alone_are_a_tie(self) -> None:
        """Overlapping methods or conditions with nothing else to decide."""
        canary = make_route("canary", match=CANARY)
        other = make_match(cookies=[make_test("beta", "exists")])
        assert findings(canary, make_route("b-cookie", match=other)) == [
            ("tie", "canary", "b-cookie")
        ]

    def test_routes_that_no_request_meets_both_are_none(self) -> None:
        """Other methods, header values or times keep routes apart."""
        assert findings(make_route("a", methods=["GET"]), make_route("b", methods=["PUT"])) == []
        assert findings(make_route("a", match=CANARY), make_route("b", match=OTHER)) == []
        assert findings(make_route("a", valid_to=5.0), make_route("b", valid_from=5.0)) == []

    def test_the_same_path_with_other_parameter_names_is_a_shadow(self) -> None:
        """Names of parameters tell nothing apart."""
        found = findings(make_route("a", "/x/{id}"), make_route("b", "/x/{name}"))
        assert found == [("shadowed", "b", "a")]


class ValidityTests:
    def test_a_period_that_ends_before_it_begins_is_told(self) -> None:
        """Such a route never takes anything."""
        assert findings(make_route("r", valid_from=9.0, valid_to=9.0)) == [
            ("never_valid", "r", None)
        ]


class CertaintyTests:
    @settings(max_examples=150, deadline=None)
    @given(
        change_lists([f"r{number}" for number in range(12)]),
        st.lists(requests(), min_size=5, max_size=25),
    )
    def test_what_is_called_shadowed_never_wins(
        self, changes: list[tuple[str, Any]], asked: list[Request]
    ) -> None:
        """For random routes and requests no shadowed or never valid route is chosen."""
        bodies = {route_id: body for route_id, body in changes if body is not None}
        cache = RouteCache.empty().apply(
            (route_id, compile_route(body, None)) for route_id, body in bodies.items()
        )
        hopeless = {f.route for f in lint(cache) if f.code != "tie"}
        for request in asked:
            for tenant in (None, "t1"):
                for now in (0.0, 150.0, 300.0):
                    assert choose(bodies.values(), request, tenant, now) not in hopeless


class BecauseOfTests:
    @settings(max_examples=300, deadline=None)
    @given(
        change_lists([f"r{number}" for number in range(12)]),
        st.sets(st.sampled_from([f"r{number}" for number in range(12)]), max_size=4),
    )
    def test_it_finds_what_looking_at_all_routes_finds(
        self, changes: list[tuple[str, Any]], causes: set[str]
    ) -> None:
        """Nothing that the paths rule out is lost."""
        bodies = {route_id: body for route_id, body in changes if body is not None}
        cache = RouteCache.empty().apply(
            (route_id, compile_route(body, None)) for route_id, body in bodies.items()
        )
        found = lint_because_of(cache, [route for route in cache if route.id in causes])
        told = {one for one in found if one is not None}
        theirs = {one for one in lint(cache) if one.other in causes and one.route not in causes}
        assert told == theirs
