"""Answers which route a request would take here, and why."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from fengling_gateway.balancing.service import Service
from fengling_gateway.http.target import normal_host
from fengling_gateway.model.who_may_ask import OPENNESS
from fengling_gateway.routing.explain import Candidates, Verdict, comes_after, why_not
from fengling_gateway.routing.plan import ForwardPlan
from fengling_gateway.routing.route import Route
from fengling_gateway.routing.snapshot import Snapshot
from fengling_gateway.routing.standing import EjectedFor, standing

LISTED: Final = 100
"""Routes, and instances of a service, that are named; there may be as many as there are at all."""


class ImaginedRequest:
    """
    A request that somebody asks about; a `RequestView`.

    Args:
        values: ``method`` (GET), ``host``, ``path`` (may carry a query after
            ``?``), ``headers`` (name to value), ``listener`` and ``peer``, all
            optional text.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        path, _, query = str(values.get("path") or "/").partition("?")
        self.method = _bytes(values.get("method") or "GET")
        self.host = _host(_bytes(values.get("host") or ""))
        self.path = _bytes(path)
        self.query = _bytes(values.get("query") or query)
        self.listener = str(values.get("listener") or "http")
        self.peer = str(values.get("peer") or "127.0.0.1")
        headers = values.get("headers") or {}
        self._headers = {_bytes(k).lower(): _bytes(v) for k, v in headers.items()}

    def header(self, lower_name: bytes) -> bytes | None:
        return self._headers.get(lower_name)


def _bytes(value: object) -> bytes:
    return str(value).encode(errors="replace")


def _host(value: bytes) -> bytes:
    try:
        return normal_host(value)
    except ValueError:
        return value.lower()  # a real request is refused; here it just fits no host


def explain(
    snapshot: Snapshot,
    values: Mapping[str, Any],
    now: float,
    ejected_for: EjectedFor = lambda _: None,
) -> dict[str, Any]:
    """
    Return the tenant, the routes considered with a verdict each, and where the request would go.

    Of the routes there are the first `LISTED` and the one that takes the request;
    ``more_candidates`` says how many others there are.

    Args:
        values: the request, see `ImaginedRequest`; and under ``route`` the id
            of a route to be told about, whether it is considered or not.
        ejected_for: for how many seconds an instance stays ejected; None where it is not.
    """
    request = ImaginedRequest(values)
    tenant = snapshot.tenants.resolve(request.host, request.path)
    found = snapshot.routes.candidates(request, tenant, now, limit=LISTED)
    chosen = found.chosen
    answer: dict[str, Any] = {
        "revision": snapshot.position.revision if snapshot.position else None,
        "tenant": tenant,
        "route": chosen.id if chosen else None,
        "candidates": [_verdict(one) for one in found.verdicts],
        "more_candidates": found.others,
        "action": None if chosen is None else _action(chosen, snapshot, tenant, ejected_for),
    }
    if values.get("route"):
        answer["asked"] = _asked(str(values["route"]), found, snapshot, request, now)
    return answer


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"route": verdict.route.id, "chosen": verdict.chosen, "reason": verdict.reason}


def _asked(
    route_id: str, found: Candidates, snapshot: Snapshot, request: ImaginedRequest, now: float
) -> dict[str, Any]:
    """Return the verdict on one route by id: that of the candidates, or why it is none of them."""
    for verdict in found.verdicts:
        if verdict.route.id == route_id:
            return _verdict(verdict)
    route = snapshot.routes.get(route_id)
    if route is None:
        reason = "there is no such route"
    else:
        tenant = snapshot.tenants.resolve(request.host, request.path)
        lost_to = found.chosen.id if found.chosen else "another"
        reason = why_not(route, request, tenant, now) or comes_after(lost_to)
    return {"route": route_id, "chosen": False, "reason": reason}


def _action(
    route: Route, snapshot: Snapshot, tenant: str | None, ejected_for: EjectedFor
) -> dict[str, Any]:
    plan = route.plan
    if route.id in snapshot.overrides.routes:
        return {"kind": "switched_off", "error": "somebody has switched it off: 503"}
    if not isinstance(plan, ForwardPlan):
        kind = type(plan).__name__.removesuffix("Plan").lower()
        return {"kind": kind, "access": _openness(plan)}
    names = [plan.service_id] if plan.split is None else sorted(plan.branches or {})
    return {
        "kind": "forward" if plan.split is None else "split",
        "access": _openness(plan),
        "services": [_service(name, snapshot, tenant, ejected_for) for name in names],
    }


def _openness(plan: Any) -> str:
    """Say who may ask: of a split, the most open of its ways."""
    branches = plan.branches if isinstance(plan, ForwardPlan) else None
    ways = [plan] if branches is None else branches.values()
    requirements = [None if way.guards is None else way.guards.requirement for way in ways]
    return OPENNESS[min(0 if one is None else one.mode for one in requirements)]


def _service(
    name: str, snapshot: Snapshot, tenant: str | None, ejected_for: EjectedFor
) -> dict[str, Any]:
    service = snapshot.services.get(name)
    if service is None:
        return {"service": name, "error": "there is no such service: 503"}
    states = service.candidates(tenant)
    return {
        "service": name,
        "more_candidates": max(0, len(states) - LISTED),
        "candidates": [
            {
                "instance": state.instance.id,
                "address": state.instance.address,
                "weight": state.instance.weight,
                "in_flight": state.in_flight,
                "against": standing(state, snapshot, ejected_for)["reason"],
            }
            for state in states[:LISTED]
        ],
        "refused": _refused(service, tenant),
        "left_out": _left_out(service, snapshot, tenant, ejected_for),
    }


def _left_out(
    service: Service, snapshot: Snapshot, tenant: str | None, ejected_for: EjectedFor
) -> list[dict[str, Any]]:
    """
    Return the first instances, shared or the tenant's, that get nothing new, and why.

    In panic some are candidates all the same: there ``against`` says what speaks against them.
    """
    candidates = set(service.candidates(tenant))
    found = (
        standing(state, snapshot, ejected_for)
        for state in service.states
        if state not in candidates
        and state.instance.tenant_id in {None, tenant}
        and state.instance.refused is None
    )
    return [
        {"instance": one["instance"], "address": one["address"], "reason": one["reason"]}
        for one in islice((one for one in found if one["reason"]), LISTED)
    ]


def _refused(service: Service, tenant: str | None) -> list[dict[str, str]]:
    """Return the first instances, shared or the tenant's, that are left out for their address."""
    refused = (
        {"instance": one.id, "address": one.address, "reason": one.refused}
        for one in (state.instance for state in service.states)
        if one.refused is not None and one.tenant_id in {None, tenant}
    )
    return list(islice(refused, LISTED))
