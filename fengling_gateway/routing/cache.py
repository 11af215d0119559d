"""RouteCache: which route takes a request.

Immutable and structure-sharing: a change makes a new cache that shares all it
can with the old one, at a cost that grows with the change. ``docs/routing.md``
has the order in which routes are tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from fengling_gateway.http.spelling import canonical_path
from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.explain import (
    Candidates,
    count_routes,
    in_order,
    judge_in_order,
    leaves_of,
)
from fengling_gateway.routing.hostpaths import HostPaths
from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.regexes import RegexIndex
from fengling_gateway.routing.route import Route, compile_route
from fengling_gateway.routing.scope import Scope
from fengling_gateway.routing.sharding import AnyDict, put

__all__ = ["Route", "RouteCache", "RouteCacheBuilder", "compile_route"]

_PERCENT: Final = 0x25

_UNSETTLED: Final = 32
"""
Regex indexes left to compile in `freeze`, which must not take long. Routes of
one host tend to come together, so its regexes are mostly compiled once.
"""

RouteChange = tuple[str, Route | None]
"""A route's id and what it is now; None where it is gone."""


class RouteCache:
    """Every route by id, and the enabled ones by tenant, host and path."""

    __slots__ = ("_common", "_routes", "_tenants")

    def __init__(
        self, routes: AnyDict[str, Route], common: Scope, tenants: AnyDict[str, Scope]
    ) -> None:
        self._routes = routes
        self._common = common
        self._tenants = tenants

    @classmethod
    def empty(cls) -> RouteCache:
        return cls({}, Scope(), {})

    def __repr__(self) -> str:
        return f"<RouteCache of {self.size} routes>"

    @property
    def size(self) -> int:
        """Routes in it, disabled ones included."""
        return len(self._routes)

    def get(self, route_id: str) -> Route | None:
        return self._routes.get(route_id)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())

    def apply(self, changes: Iterable[RouteChange]) -> RouteCache:
        """Return the cache after some changes; a removal of what is not there is none."""
        builder = self.builder()
        builder.apply(changes)
        return builder.freeze()

    def builder(self) -> RouteCacheBuilder:
        """Return a builder that starts from here and leaves this cache as it is."""
        return RouteCacheBuilder(self._routes, self._common, self._tenants)

    def match(self, request: RequestView, tenant: str | None, now: float) -> Route | None:
        """
        Return the route that takes a request: the tenant's own before global ones.

        `now` is in seconds since the Unix epoch, for routes with a validity period.
        """
        path = request.path
        if _PERCENT in path or not path.isascii():  # most are canonical: spare them the call
            path = canonical_path(path)
        if tenant is not None:
            scope = self._tenants.get(tenant)
            if scope is not None:
                route = scope.match(path, request, now)
                if route is not None:
                    return route
        return self._common.match(path, request, now)

    def scope(self, tenant: str | None) -> Scope | None:
        """Return the index of a tenant's enabled routes, or of the global ones (None)."""
        return self._common if tenant is None else self._tenants.get(tenant)

    def candidates(
        self, request: RequestView, tenant: str | None, now: float, *, limit: int | None = None
    ) -> Candidates:
        """
        Judge the routes that have the request's host and path, in the order they are tried.

        Beyond `limit` of them only the one that takes the request.
        """
        path = canonical_path(request.path)
        owners = [self.scope(owner) for owner in dict.fromkeys((tenant, None))]
        found = [leaves_of(scope, request.host, path) for scope in owners if scope is not None]
        routes = chain.from_iterable(map(in_order, found))
        verdicts = judge_in_order(islice(routes, limit), request, now)
        others = sum(map(count_routes, found)) - len(verdicts)
        if others and not any(one.chosen for one in verdicts):
            winner = self.match(request, tenant, now)
            if winner is not None:
                verdicts += judge_in_order([winner], request, now)
                others -= 1
        return Candidates(verdicts, others)


class RouteCacheBuilder:
    """
    A RouteCache in the making, for loads that are applied in slices.

    What the builder has made itself it changes in place. `freeze` ends it: the
    builder then starts anew from the frozen cache.
    """

    def __init__(
        self, routes: AnyDict[str, Route], common: Scope, tenants: AnyDict[str, Scope]
    ) -> None:
        self._start(routes, common, tenants)

    def _start(
        self, routes: AnyDict[str, Route], common: Scope, tenants: AnyDict[str, Scope]
    ) -> None:
        self._edit = Edit()
        self._routes = routes.copy()
        self._common = common
        self._tenants = tenants.copy()
        self._unsettled: dict[RegexIndex, None] = {}

    @property
    def size(self) -> int:
        return len(self._routes)

    def apply(self, changes: Iterable[RouteChange]) -> None:
        for route_id, route in changes:
            if route is None:
                self.remove(route_id)
            else:
                self.add(route)

    def add(self, route: Route) -> None:
        """Add a route, in place of one with its id."""
        self.remove(route.id)
        self._routes = put(self._routes, route.id, route)
        if route.enabled:
            self._note(self._scope(route.tenant_id).insert(route, self._edit))

    def remove(self, route_id: str) -> None:
        """Remove a route if it is there."""
        route = self._routes.get(route_id)
        if route is None:
            return
        del self._routes[route_id]
        if not route.enabled:
            return
        scope = self._scope(route.tenant_id)
        self._note(scope.remove(route, self._edit))
        if route.tenant_id is not None and scope.is_bare:
            del self._tenants[route.tenant_id]

    def freeze(self) -> RouteCache:
        """Return the cache as it now is."""
        for regexes in self._unsettled:
            regexes.settle()
        cache = RouteCache(self._routes, self._common, self._tenants)
        self._start(self._routes, self._common, self._tenants)
        return cache

    def _scope(self, tenant: str | None) -> Scope:
        """Return a scope that this builder may change."""
        if tenant is None:
            self._common = self._common.owned_by(self._edit)
            return self._common
        scope = self._tenants.get(tenant)
        owned = self._edit.keep(Scope()) if scope is None else scope.owned_by(self._edit)
        if owned is not scope:
            self._tenants = put(self._tenants, tenant, owned)
        return owned

    def _note(self, changed: list[HostPaths]) -> None:
        for paths in changed:
            if paths.regexes is not None and not paths.regexes.is_settled:
                self._unsettled[paths.regexes] = None
        while len(self._unsettled) > _UNSETTLED:
            oldest = next(iter(self._unsettled))
            del self._unsettled[oldest]
            oldest.settle()
