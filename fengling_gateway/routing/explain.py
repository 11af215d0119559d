"""Why a route took a request, and why others did not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.route import Route


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


def judge_in_order(routes: Iterable[Route], request: RequestView, now: float) -> list[Verdict]:
    """Judge routes of the request's host and path, given in the order they are tried."""
    verdicts: list[Verdict] = []
    winner: Route | None = None
    for route in routes:
        failure = first_failure(route, request, now)
        if failure is not None:
            verdicts.append(Verdict(route, False, failure))
        elif winner is None:
            winner = route
            verdicts.append(Verdict(route, True, "first that takes the request"))
        else:
            verdicts.append(Verdict(route, False, f"would take it, but comes after {winner.id}"))
    return verdicts


def first_failure(route: Route, request: RequestView, now: float) -> str | None:
    """Say what a request to the route's host and path lacks; None if nothing."""
    if route.methods is not None and request.method not in route.methods:
        names = ", ".join(sorted(name.decode() for name in route.methods))
        return f"method {request.method.decode('latin-1')} is not among {names}"
    if route.valid_from is not None and now < route.valid_from:
        return f"not valid before {route.valid_from}"
    if route.valid_to is not None and now >= route.valid_to:
        return f"no longer valid since {route.valid_to}"
    for condition in route.conditions:
        if not condition.holds(request):
            return f"needs {condition.describe()}"
    return None
