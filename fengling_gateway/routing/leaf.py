"""Leaves: the routes of one host pattern and one path, in the order they are tried.

Nearly always there is one, and then the leaf is that route itself: one object
less to fetch from memory per match.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.route import Route


class Choice:
    """Several routes, sorted by `Route.leaf_key`. Immutable."""

    __slots__ = ("asks", "routes")

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.asks = True
        """As of a route: here, because it must be asked which of its routes it is."""
        self.routes = routes

    def taking(self, request: RequestView, now: float) -> Route | None:
        """Return the first route that takes a request to its host and path."""
        for route in self.routes:
            if not route.asks or route.taking(request, now) is not None:
                return route
        return None


Leaf = Route | Choice


def routes_of(leaf: Leaf) -> tuple[Route, ...]:
    """Return the routes of a leaf in the order they are tried."""
    return (leaf,) if isinstance(leaf, Route) else leaf.routes


def make_leaf(routes: Iterable[Route]) -> Leaf | None:
    """Return a leaf of routes in any order, None if there are none."""
    return _leaf_of(tuple(sorted(routes, key=_leaf_key)))


def with_route(leaf: Leaf | None, route: Route) -> Leaf:
    """Return the leaf with one more route."""
    if leaf is None:
        return route
    routes = routes_of(leaf)
    at = bisect_left(routes, route.leaf_key, key=_leaf_key)
    return Choice((*routes[:at], route, *routes[at:]))


def without_route(leaf: Leaf | None, route: Route) -> Leaf | None:
    """
    Return the leaf without that route, None where nothing is left.

    Raises:
        KeyError: the route is not in it.
    """
    routes = () if leaf is None else routes_of(leaf)
    at = bisect_left(routes, route.leaf_key, key=_leaf_key)
    if at == len(routes) or routes[at] is not route:
        raise KeyError(route.id)
    return _leaf_of(routes[:at] + routes[at + 1 :])


def first_above(leaf: Leaf, request: RequestView, now: float, best: Route | None) -> Route | None:
    """Return the first route that takes the request and has a higher priority than `best`."""
    for route in routes_of(leaf):
        if best is not None and route.priority <= best.priority:
            return None
        if not route.asks or route.taking(request, now) is not None:
            return route
    return None


def _leaf_of(routes: tuple[Route, ...]) -> Leaf | None:
    if len(routes) > 1:
        return Choice(routes)
    return routes[0] if routes else None


def _leaf_key(route: Route) -> tuple[int, bool, int, str]:
    return route.leaf_key
