"""Leaves: the routes of one host pattern and one path, in the order they are tried."""

from __future__ import annotations

from bisect import bisect_left

from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.route import Route

Leaf = tuple[Route, ...]
"""Never empty, sorted by `Route.leaf_key`."""


def with_route(leaf: Leaf | None, route: Route) -> Leaf:
    """Return the leaf with one more route."""
    if leaf is None:
        return (route,)
    at = bisect_left(leaf, route.leaf_key, key=_leaf_key)
    return (*leaf[:at], route, *leaf[at:])


def without_route(leaf: Leaf | None, route: Route) -> Leaf | None:
    """
    Return the leaf without that route, None where nothing is left.

    Raises:
        KeyError: the route is not in it.
    """
    at = bisect_left(leaf or (), route.leaf_key, key=_leaf_key)
    if leaf is None or at == len(leaf) or leaf[at] is not route:
        raise KeyError(route.id)
    return (leaf[:at] + leaf[at + 1 :]) or None


def first_in(leaf: Leaf, request: RequestView, now: float, best: Route | None) -> Route | None:
    """Return the first route of a leaf that takes the request and outranks `best`, else `best`."""
    for route in leaf:
        if best is not None and route.priority <= best.priority:
            return best
        if route.plain or route.accepts(request, now):
            return route
    return best


def _leaf_key(route: Route) -> tuple[int, bool, int, str]:
    return route.leaf_key
