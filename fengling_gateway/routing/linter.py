"""What is odd about a set of routes: those that can never win, and ties.

A finding is certain, never a guess: what it says holds for every request. The
converse does not: two regexes, or a header that equals one thing here and
contains another there, are not compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from fengling_gateway.routing.cache import RouteCache
from fengling_gateway.routing.hostpaths import HostPaths
from fengling_gateway.routing.leaf import Leaf, routes_of
from fengling_gateway.routing.pathtree import covering
from fengling_gateway.routing.route import Route, host_rank
from fengling_gateway.routing.scope import Scope
from fengling_gateway.routing.template import REGEX, PathTemplate, covers

_ANY: Final = ((), (None,))
"""First segments of templates that may match whatever a path begins with."""


class Finding(NamedTuple):
    """
    Something about a route that its author should know.

    Attributes:
        code: ``never_valid``, ``shadowed`` or ``tie``.
        route: the id of the route.
        other: the id of the route it is about, None if it is about none.
        message: a sentence for the author.
    """

    code: str
    route: str
    other: str | None
    message: str


def lint(cache: RouteCache) -> Iterator[Finding]:
    """
    Yield the findings of all routes.

    A generator, so that the caller can spread the work over turns of a
    reactor: a route costs some 20 µs.
    """
    for route in cache:
        yield from lint_route(cache, route)


def lint_route(cache: RouteCache, route: Route) -> list[Finding]:
    """Return the findings of one route of the cache; none for a disabled one."""
    scope = cache.scope(route.tenant_id)
    if not route.enabled or scope is None:
        return []
    if (
        route.valid_from is not None
        and route.valid_to is not None
        and route.valid_from >= route.valid_to
    ):
        message = "is never valid: valid_from is not before valid_to"
        return [Finding("never_valid", route.id, None, message)]
    shadow = _shadow(scope, route)
    if shadow is not None:
        message = f"can never be chosen: {shadow.id} comes before it and takes all its requests"
        return [Finding("shadowed", route.id, shadow.id, message)]
    return [
        Finding(
            "tie",
            route.id,
            other.id,
            f"is told from {other.id} by nothing but the id, which decides for {other.id}; "
            "set a priority",
        )
        for other in _ties(scope, route)
    ]


def lint_because_of(cache: RouteCache, causes: Collection[Route]) -> Iterator[Finding | None]:
    """
    Yield the findings of other routes that are about some routes of the cache.

    A generator like `lint`; each None is a route that has been looked at.
    """
    ids = {cause.id for cause in causes}
    templates = {cause.template for cause in causes}
    # Most are ruled out by how they begin.
    beginnings = {one.segments[:1] for one in templates if one.kind != REGEX}
    begin_anyhow = any(one.kind == REGEX or one.segments[:1] in _ANY for one in templates)
    for route in cache:
        template = route.template
        begins_so = begin_anyhow or template.segments[:1] in beginnings
        if begins_so and any(covers(one, template) for one in templates) and route.id not in ids:
            yield from (one for one in lint_route(cache, route) if one.other in ids)
        yield None


def _shadow(scope: Scope, route: Route) -> Route | None:
    """Return a route that shadows another under one of its hosts, if all its hosts are shadowed."""
    template = route.template
    found: Route | None = None
    for pattern in route.hosts or (b"",):
        found = _shadow_under(scope, route, template, pattern)
        if found is None:
            return None
    return found


def _shadow_under(
    scope: Scope, route: Route, template: PathTemplate, pattern: bytes
) -> Route | None:
    mine = route.sort_key_for(host_rank(pattern))
    for other_pattern, paths in scope.hosts_covering(pattern):
        rank = host_rank(other_pattern)
        for leaf in _leaves_covering(paths, template):
            for other in routes_of(leaf):
                if other.sort_key_for(rank) < mine and _takes_all_of(other, route):
                    return other
    return None


def _leaves_covering(paths: HostPaths, template: PathTemplate) -> Iterator[Leaf]:
    if template.kind != REGEX:
        yield from covering(paths.root, template)
        return
    if paths.root.prefix is not None:
        yield paths.root.prefix
    same = paths.regexes and paths.regexes.of(template.pattern)
    if same:
        yield same


def _takes_all_of(one: Route, other: Route) -> bool:
    """Whether one route takes all requests of another, host and path aside."""
    if one.methods is not None and (other.methods is None or not one.methods >= other.methods):
        return False
    if one.valid_from is not None and (
        other.valid_from is None or one.valid_from > other.valid_from
    ):
        return False
    if one.valid_to is not None and (other.valid_to is None or one.valid_to < other.valid_to):
        return False
    return _words(one) <= _words(other)


def _words(route: Route) -> set[str]:
    return {condition.describe() for condition in route.conditions}


def _ties(scope: Scope, route: Route) -> Iterator[Route]:
    """Yield the routes that only their id puts before this one, and that may take its requests."""
    seen: set[Route] = set()
    template = route.template
    for pattern in route.hosts or (b"",):
        for other_pattern, paths in scope.hosts_covering(pattern):
            if other_pattern != pattern:
                continue
            for leaf in _leaves_covering(paths, template):
                for other in routes_of(leaf):
                    if other not in seen and _is_tie(other, route, template):
                        seen.add(other)
                        yield other


def _is_tie(first: Route, second: Route, template: PathTemplate) -> bool:
    return (
        first.leaf_key[:-1] == second.leaf_key[:-1]
        and first.id < second.id
        and first.template.rank == template.rank
        and _may_meet(first, second)
    )


def _may_meet(one: Route, other: Route) -> bool:
    """Whether some request may meet what both routes ask, host and path aside."""
    if one.methods is not None and other.methods is not None and not one.methods & other.methods:
        return False
    starts = max(one.valid_from or 0.0, other.valid_from or 0.0)
    ends = [end for end in (one.valid_to, other.valid_to) if end is not None]
    if ends and starts >= min(ends):
        return False
    return not any(
        first.excludes(second) for first in one.conditions for second in other.conditions
    )
