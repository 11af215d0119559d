"""Who may refer to what in another namespace: ReferenceGrants. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from fengling_gateway.kubernetes.gateway_api.objects import Kind, ReferenceGrant
from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.resources import GATEWAY_API

HTTP_ROUTE: Final = Kind(GATEWAY_API, "HTTPRoute")
SERVICE: Final = Kind("", "Service")

Grants = Mapping[str, tuple[ReferenceGrant, ...]]


def grants_by_namespace(grants: Iterable[ReferenceGrant]) -> Grants:
    found: dict[str, tuple[ReferenceGrant, ...]] = {}
    for grant in grants:
        namespace = grant.metadata.name.namespace
        found[namespace] = (*found.get(namespace, ()), grant)
    return found


def may_refer(grants: Grants, namespace: str, target: ObjectName) -> bool:
    """Whether HTTPRoutes of a namespace may refer to a Service."""
    if namespace == target.namespace:
        return True
    return any(
        (HTTP_ROUTE, namespace) in grant.granted_to
        and any(one.kind == SERVICE and one.name in (None, target.name) for one in grant.granted)
        for grant in grants.get(target.namespace, ())
    )
