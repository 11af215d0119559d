"""Why a route took a request, and why others did not."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fengling_gateway.http.spelling import canonical_path
from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.leaf import routes_of
from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.route import HostRank, Route, SortKey, host_rank
from fengling_gateway.routing.scope import Scope


class Verdict(NamedTuple):
    """
    What became of one route for one request.

    Attributes:
        route: the route judged.
        chosen: whether it took the request.
        reason: in words for an operator, why it did or did not.
    """

    route: Route
    chosen: bool
    reason: str


class Candidates(NamedTuple):
    """
    What became of the routes with a request's host and path.

    Attributes:
        verdicts: in the order they are tried.
        others: how many more there are that were not judged, and don't take the request.
    """

    verdicts: list[Verdict]
    others: int

    @property
    def chosen(self) -> Route | None:
        """The route that takes the request."""
        return next((one.route for one in self.verdicts if one.chosen), None)


Leaves = list[tuple[HostRank, tuple[Route, ...]]]
"""Routes of one path by the host pattern they have it with, each in their order."""


def leaves_of(scope: Scope, host: bytes, path: bytes) -> Leaves:
    """Return what there is for a host and a canonical path."""
    return [
        (host_rank(pattern), routes_of(leaf))
        for pattern, paths in scope.hosts(host)
        for leaf in paths.leaves(path)
    ]


def count_routes(leaves: Leaves) -> int:
    """Return how many routes there are; one with several fitting hosts counts once."""
    return len({route for _, routes in leaves for route in routes})


def in_order(leaves: Leaves) -> Iterator[Route]:
    """Yield each route once in the order they are tried; costs only what is taken of it."""
    seen: set[Route] = set()
    for _, route in heapq.merge(*(_with_keys(rank, routes) for rank, routes in leaves)):
        if route not in seen:
            seen.add(route)
            yield route


def _with_keys(rank: HostRank, routes: tuple[Route, ...]) -> Iterator[tuple[SortKey, Route]]:
    return ((route.sort_key_for(rank), route) for route in routes)


def judge_in_order(routes: Iterable[Route], request: RequestView, now: float) -> list[Verdict]:
    """Judge routes of the request's host and path, given in the order they are tried."""
    verdicts: list[Verdict] = []
    winner: Route | None = None
    for route in routes:
        failure = _failure(route, request, now)
        if failure is not None:
            verdicts.append(Verdict(route, False, failure))
        elif winner is None:
            winner = route
            verdicts.append(Verdict(route, True, "the first that takes the request"))
        else:
            verdicts.append(Verdict(route, False, comes_after(winner.id)))
    return verdicts


def comes_after(winner_id: str) -> str:
    """Say why a route that takes a request does not get it."""
    return f"would take it, but comes after {winner_id}"


def why_not(route: Route, request: RequestView, tenant: str | None, now: float) -> str | None:
    """
    Say why one route, whatever others do, does not take a request; None if it does.

    For the route that an operator expected and `RouteCache.candidates` does not list.
    """
    if not route.enabled:
        return "it is disabled"
    if route.tenant_id not in (None, tenant):
        return f"it is for tenant {route.tenant_id}, the request for {tenant or 'none'}"
    alone, edit = Scope(), Edit()
    for paths in alone.insert(route, edit):
        if paths.regexes is not None:
            paths.regexes.settle()
    hosts = [paths for _, paths in alone.hosts(request.host)]
    if not hosts:
        wanted = ", ".join(sorted(host.decode() for host in route.hosts))
        return f"host {request.host.decode('latin-1') or '(none)'} is not among {wanted}"
    path = canonical_path(request.path)
    if not any(True for paths in hosts for _ in paths.leaves(path)):
        return f"path {path.decode('latin-1')} does not match {route.path}"
    return _failure(route, request, now)


def _failure(route: Route, request: RequestView, now: float) -> str | None:
    """Say what a request to the route's host and path lacks; None if nothing."""
    if route.methods is not None and request.method not in route.methods:
        names = ", ".join(sorted(name.decode() for name in route.methods))
        return f"method {request.method.decode('latin-1')} is not among {names}"
    if route.valid_from is not None and now < route.valid_from:
        return f"it is not valid yet: {route.valid_from - now:.0f} s to go"
    if route.valid_to is not None and now >= route.valid_to:
        return f"it is no longer valid: since {now - route.valid_to:.0f} s"
    for condition in route.conditions:
        if not condition.holds(request):
            return f"it needs {condition.describe()}"
    return None
