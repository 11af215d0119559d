"""Leaves: the routes of one host pattern and one path, in the order they are tried.

Nearly always there is one, and then the leaf is that route itself: one object
less to fetch from memory per match.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.wanted import WantedIndex

_FEW: Final = 8
"""Routes that are faster asked one by one than looked up."""


class Choice:
    """
    Several routes, sorted by `Route.leaf_key`. Immutable.

    Attributes:
        asks: as of a route: here, because it must be asked which of its routes it is.
        index: the same routes; only where they are many, and stay together.
    """

    __slots__ = ("asks", "index", "routes")

    def __init__(self, routes: tuple[Route, ...], index: WantedIndex | None = None) -> None:
        self.asks = True
        self.routes = routes
        self.index = index

    def taking(self, request: RequestView, now: float) -> Route | None:
        """Return the first route that takes a request to its host and path."""
        if self.index is not None:
            return self.index.taking(request, now)
        for route in self.routes:
            if not route.asks or route.taking(request, now) is not None:
                return route
        return None


Leaf = Route | Choice


def routes_of(leaf: Leaf) -> tuple[Route, ...]:
    """Return the routes of a leaf in the order they are tried."""
    return (leaf,) if isinstance(leaf, Route) else leaf.routes


def make_leaf(routes: Iterable[Route]) -> Leaf | None:
    """Return a leaf, for one request, of routes in any order; None if there are none."""
    return _leaf_of(tuple(sorted(routes, key=_leaf_key)), None)


def with_route(leaf: Leaf | None, route: Route) -> Leaf:
    """Return the leaf with one more route."""
    if leaf is None:
        return route
    routes = routes_of(leaf)
    at = bisect_left(routes, route.leaf_key, key=_leaf_key)
    routes = (*routes[:at], route, *routes[at:])
    index = leaf.index if isinstance(leaf, Choice) else None
    if index is not None:
        return Choice(routes, index.with_route(route))
    return Choice(routes, WantedIndex.of(routes) if len(routes) > _FEW else None)


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
    index = leaf.index if isinstance(leaf, Choice) else None
    if index is not None:
        index = index.without_route(route) if len(routes) > _FEW + 1 else None
    return _leaf_of(routes[:at] + routes[at + 1 :], index)


def first_above(leaf: Leaf, request: RequestView, now: float, best: Route | None) -> Route | None:
    """Return the first route that takes the request and has a higher priority than `best`."""
    highest = leaf if isinstance(leaf, Route) else leaf.routes[0]
    if best is not None and highest.priority <= best.priority:
        return None
    found = leaf.taking(request, now)
    if found is None or (best is not None and found.priority <= best.priority):
        return None
    return found


def _leaf_of(routes: tuple[Route, ...], index: WantedIndex | None) -> Leaf | None:
    if len(routes) > 1:
        return Choice(routes, index)
    return routes[0] if routes else None


def _leaf_key(route: Route) -> tuple[int, bool, int, str]:
    return route.leaf_key
