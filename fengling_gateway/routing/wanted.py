"""The routes of one host and path by the values that they ask for.

Many may share a path and be told apart by a header, a parameter, a cookie or the
method. Each is filed under everything that it wants to equal something: under
its *shape*, which fields that are, and there under the values. A request is
looked up once per shape, and shapes are few.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from fengling_gateway.routing.matchers import Field, RequestView
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.sharding import AnyDict, put

Shape = tuple[Field, ...]
Values = tuple[bytes, ...]

_METHOD = Field("method", b"", False)


class WantedIndex:
    """
    Routes by the values that they want. Immutable.

    What it finds still has to be asked: conditions that are no comparison are
    not looked at here.
    """

    __slots__ = ("_shapes",)

    def __init__(self, shapes: dict[Shape, AnyDict[Values, tuple[Route, ...]]]) -> None:
        self._shapes = shapes

    @classmethod
    def of(cls, routes: Iterable[Route]) -> WantedIndex:
        index = cls({})
        for route in routes:
            index = index.with_route(route)
        return index

    def with_route(self, route: Route) -> WantedIndex:
        shapes = self._shapes.copy()
        for shape, values in _places(route):
            found = shapes.get(shape)
            filed: AnyDict[Values, tuple[Route, ...]] = {} if found is None else found.copy()
            routes = filed.get(values) or ()
            at = bisect_left(routes, route.leaf_key, key=_leaf_key)
            shapes[shape] = put(filed, values, (*routes[:at], route, *routes[at:]))
        return WantedIndex(shapes)

    def without_route(self, route: Route) -> WantedIndex:
        shapes = self._shapes.copy()
        for shape, values in _places(route):
            filed = shapes[shape].copy()
            left = tuple(one for one in filed.get(values) or () if one is not route)
            if left:
                filed[values] = left
            else:
                del filed[values]
            if filed:
                shapes[shape] = filed
            else:
                del shapes[shape]
        return WantedIndex(shapes)

    def taking(self, request: RequestView, now: float) -> Route | None:
        """Return the first route, by `Route.leaf_key`, that takes a request to its host and path."""
        best: Route | None = None
        for shape, filed in self._shapes.items():
            values = _values_of(shape, request)
            if values is None:
                continue
            for route in filed.get(values) or ():
                if not route.asks or route.taking(request, now) is not None:
                    if best is None or route.leaf_key < best.leaf_key:
                        best = route
                    break
        return best


def _values_of(shape: Shape, request: RequestView) -> Values | None:
    values = []
    for field in shape:
        value = field.value_in(request)
        if value is None:
            return None
        values.append(value)
    return tuple(values)


def _places(route: Route) -> Iterator[tuple[Shape, Values]]:
    """Yield where a route is filed: in one place, or in one for each of its methods."""
    wanted = dict(found for one in route.conditions if (found := one.wanted) is not None)
    # Of two values for one field, which no request has, either does.
    if route.methods is None:
        yield _place(wanted)
    for method in route.methods or ():
        yield _place({**wanted, _METHOD: method})


def _place(wanted: dict[Field, bytes]) -> tuple[Shape, Values]:
    shape = tuple(sorted(wanted))
    return shape, tuple(wanted[field] for field in shape)


def _leaf_key(route: Route) -> tuple[int, bool, int, str]:
    return route.leaf_key
