"""What a rule's backendRefs come to: services, weights, and what can't be referred to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.http_routes import BackendRef, Rule
from fengling_gateway.kubernetes.gateway_api.references import SERVICE, Grants, may_refer
from fengling_gateway.kubernetes.gateway_api.world import Backend, Problem, World
from fengling_gateway.kubernetes.ids import service_id
from fengling_gateway.kubernetes.objects import ObjectName, Service, ServicePort
from fengling_gateway.model.kinds import MAX_WEIGHT

NOWHERE_ID: Final = "gateway-api_nowhere"
"""Stands for what can't be referred to, in a split. (No name of the cluster's has a ``_``.)"""

NOWHERE: Final = Backend("", "", ServicePort("", 0, None), {})

_NOT_SPOKEN: Final = (
    "kubernetes.io/h2c",
    "h2c",
    "http2",
    "grpc",
    "https",
    "kubernetes.io/wss",
    "wss",
)
"""Without a word for them others are taken for HTTP/1.1; these say that they aren't."""


class Referred(NamedTuple):
    """
    All that is known of what the rules of an HTTPRoute refer to.

    Attributes:
        namespace: of the HTTPRoute.
        services: those that there are.
        permitted: names of those that HTTPRoutes of the namespace may refer to.
    """

    namespace: str
    services: Mapping[ObjectName, Service]
    permitted: frozenset[ObjectName]


class Backends(NamedTuple):
    """
    What a rule forwards to.

    Attributes:
        weights: by service id; with `NOWHERE_ID` the share of what can't be referred to.
        services: what they are.
        unresolved: what is wrong with those that can't be referred to.
    """

    weights: Mapping[str, int]
    services: Mapping[str, Backend]
    unresolved: tuple[Problem, ...]

    @property
    def target(self) -> dict[str, Any]:
        """The target of a route; without any way to go it is an answer with status 500."""
        usable = sum(weight for name, weight in self.weights.items() if name != NOWHERE_ID)
        if not usable:
            return {"respond": {"status": 500, "headers": {}, "body": ""}}
        if len(self.weights) == 1:
            return {"service_id": next(iter(self.weights))}
        return {"split": _scaled(self.weights)}


def referred_by(rules: Iterable[Rule], namespace: str, world: World, grants: Grants) -> Referred:
    """Return what rules of HTTPRoutes of a namespace refer to."""
    names = {ref.name for rule in rules for ref in rule.backends}
    return Referred(
        namespace,
        {name: found for name in names if (found := world.services.get(name)) is not None},
        frozenset(name for name in names if may_refer(grants, namespace, name)),
    )


def resolve(rule: Rule, where: str, referred: Referred) -> Backends:
    """
    Resolve the backendRefs of a rule.

    Args:
        where: like ``rules[0]``.
    """
    weights: dict[str, int] = {}
    services: dict[str, Backend] = {}
    unresolved = []
    for at, ref in enumerate(rule.backends):
        found = _resolve(ref, f"{where}.backendRefs[{at}]", referred)
        if isinstance(found, Problem):
            unresolved.append(found)
            name, backend = NOWHERE_ID, NOWHERE
            if not ref.weight:
                continue
        else:
            name, backend = service_id(*ref.name, found.port), Backend(*ref.name, found, {})
        weights[name] = weights.get(name, 0) + ref.weight
        services[name] = backend
    return Backends(weights, services, tuple(unresolved))


def _resolve(ref: BackendRef, where: str, referred: Referred) -> ServicePort | Problem:
    if ref.kind != SERVICE:
        return Problem("InvalidKind", f"{where}: {ref.kind} is not supported, only Service")
    if ref.name not in referred.permitted:
        return Problem(
            "RefNotPermitted",
            f"{where}: no ReferenceGrant in {ref.name.namespace} lets HTTPRoutes of "
            f"{referred.namespace} refer to Service {ref.name}",
        )
    service = referred.services.get(ref.name)
    if service is None:
        return Problem("BackendNotFound", f"{where}: there is no Service {ref.name}")
    if service.is_external:
        return Problem("InvalidKind", f"{where}: Service {ref.name} is an ExternalName")
    return _port(ref, service, where)


def _port(ref: BackendRef, service: Service, where: str) -> ServicePort | Problem:
    if ref.port is None:
        return Problem("BackendNotFound", f"{where}: has no port")
    for port in service.ports:
        if port.port == ref.port and port.protocol == "TCP":
            break
    else:
        return Problem("BackendNotFound", f"{where}: Service {ref.name} has no TCP port {ref.port}")
    if (port.app_protocol or "http").lower() in _NOT_SPOKEN:
        return Problem(
            "UnsupportedProtocol",
            f"{where}: appProtocol {port.app_protocol} of port {ref.port} of Service {ref.name} is "
            "not supported, only HTTP/1.1 in the clear",
        )
    return port


def _scaled(weights: Mapping[str, int]) -> dict[str, int]:
    """Return weights in the range there is; none that was above 0 becomes it."""
    most = max(weights.values())
    if most <= MAX_WEIGHT:
        return dict(weights)
    return {
        name: max(1, weight * MAX_WEIGHT // most) if weight else 0
        for name, weight in weights.items()
    }
