"""Why a route took a request, and why others did not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.matchers import RequestView
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.scope import Scope
from fengling_gateway.routing.template import canonical_path


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
        failure = _failure(route, request, now)
        if failure is not None:
            verdicts.append(Verdict(route, False, failure))
        elif winner is None:
            winner = route
            verdicts.append(Verdict(route, True, "the first that takes the request"))
        else:
            verdicts.append(Verdict(route, False, f"would take it, but comes after {winner.id}"))
    return verdicts


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
