"""Objects of the Gateway API as an API server gives them; valid unless a test says otherwise."""

from __future__ import annotations

from typing import Any

from fengling_gateway.kubernetes.gateway_api.http_routes import convert_http_route
from fengling_gateway.kubernetes.gateway_api.objects import (
    ObjectRef,
    convert_gateway,
    convert_gateway_class,
    convert_reference_grant,
)
from fengling_gateway.kubernetes.gateway_api.translation import translate
from fengling_gateway.kubernetes.gateway_api.world import (
    GatewayObjects,
    Settings,
    Translation,
    World,
)
from fengling_gateway.kubernetes.objects import service
from fengling_gateway.kubernetes.resources import GATEWAY_API, GATEWAYS, HTTP_ROUTES

Obj = dict[str, Any]

CONTROLLER = "gateway.fengling/controller"
SETTINGS = Settings(CONTROLLER, {80: "http", 443: "https", 8080: "http-alt"})


def meta(
    name: str, namespace: str = "", created: str = "2026-01-01T00:00:00Z", **given: Any
) -> Obj:
    where = {"namespace": namespace} if namespace else {}
    return {"name": name, **where, "generation": 1, "creationTimestamp": created, **given}


def make_class(name: str = "fengling", **spec: Any) -> Obj:
    return {"metadata": meta(name), "spec": {"controllerName": CONTROLLER, **spec}}


def make_listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **given: Any) -> Obj:
    return {
        "name": name,
        "port": port,
        "protocol": protocol,
        "allowedRoutes": {"namespaces": {"from": "Same"}},
        **given,
    }


def own_tls() -> Obj:
    return {"mode": "Terminate", "options": {"gateway.fengling/certificates": "own"}}


def make_gateway(
    *listeners: Obj,
    name: str = "gw",
    namespace: str = "shop",
    class_name: str = "fengling",
    **spec: Any,
) -> Obj:
    return {
        "metadata": meta(name, namespace),
        "spec": {
            "gatewayClassName": class_name,
            "listeners": list(listeners or (make_listener(),)),
            **spec,
        },
    }


def parent(name: str = "gw", **given: Any) -> Obj:
    return {"group": GATEWAY_API, "kind": "Gateway", "name": name, **given}


def ref(name: str = "orders", port: int = 8080, **given: Any) -> Obj:
    return {"group": "", "kind": "Service", "name": name, "port": port, "weight": 1, **given}


def path(value: str, kind: str = "PathPrefix") -> Obj:
    return {"path": {"type": kind, "value": value}}


def make_rule(*matches: Obj, backends: list[Obj] | None = None, **given: Any) -> Obj:
    return {
        "matches": list(matches or (path("/"),)),
        "backendRefs": [ref()] if backends is None else backends,
        **given,
    }


def make_route(
    *rules: Obj,
    name: str = "web",
    namespace: str = "shop",
    hostnames: list[str] | None = None,
    parents: list[Obj] | None = None,
    created: str = "2026-01-01T00:00:00Z",
) -> Obj:
    return {
        "metadata": meta(name, namespace, created),
        "spec": {
            "parentRefs": [parent()] if parents is None else parents,
            "hostnames": hostnames or [],
            "rules": list(rules or (make_rule(),)),
        },
    }


def make_service(
    name: str = "orders", namespace: str = "shop", ports: tuple[Obj, ...] = (), **spec: Any
) -> Obj:
    found = list(ports or ({"port": 8080, "protocol": "TCP"},))
    return {"metadata": meta(name, namespace), "spec": {"ports": found, **spec}}


def make_grant(
    *,
    namespace: str = "apps",
    from_namespace: str = "shop",
    kind: str = "HTTPRoute",
    to: Obj | None = None,
) -> Obj:
    return {
        "metadata": meta("grant", namespace),
        "spec": {
            "from": [{"group": GATEWAY_API, "kind": kind, "namespace": from_namespace}],
            "to": [to or {"group": "", "kind": "Service"}],
        },
    }


def translated(
    *objects: Obj, classes: tuple[Obj, ...] | None = None, settings: Settings = SETTINGS
) -> Translation:
    """Translate a cluster of these Gateways, HTTPRoutes, Services, ReferenceGrants and Namespaces."""
    kinds: dict[str, list[Obj]] = {}
    for obj in objects:
        kinds.setdefault(_kind(obj), []).append(obj)
    known = GatewayObjects(
        _by_name(map(convert_gateway_class, (make_class(),) if classes is None else classes)),
        _by_name(map(convert_gateway, kinds.get("Gateway", [make_gateway()]))),
        _by_name(map(convert_http_route, kinds.get("HTTPRoute", []))),
        _by_name(map(convert_reference_grant, kinds.get("ReferenceGrant", []))),
    )
    services = [service(one) for one in kinds.get("Service", [make_service()])]
    namespaces = {
        one["metadata"]["name"]: one["metadata"].get("labels", {})
        for one in kinds.get("Namespace", [])
    }
    return translate(known, World({one.name: one for one in services}, namespaces, settings))


def _kind(obj: Obj) -> str:
    spec = obj.get("spec", {})
    for key, kind in (
        ("gatewayClassName", "Gateway"),
        ("rules", "HTTPRoute"),
        ("ports", "Service"),
        ("to", "ReferenceGrant"),
    ):
        if key in spec:
            return kind
    return "Namespace"


def _by_name(values: Any) -> dict[Any, Any]:
    return {value.metadata.name: value for value in values}


def conditions(
    result: Translation, name: str = "web", namespace: str = "shop", parent_at: int = 0
) -> dict[str, tuple[str, str, str]]:
    """Return status, reason and message of a route's conditions by their types."""
    status = result.statuses[ObjectRef(HTTP_ROUTES, namespace, name)]
    return by_type(status["parents"][parent_at]["conditions"])


def gateway_conditions(result: Translation, name: str = "gw") -> dict[str, tuple[str, str, str]]:
    return by_type(result.statuses[ObjectRef(GATEWAYS, "shop", name)]["conditions"])


def listener_status(result: Translation, listener: str = "http", name: str = "gw") -> Obj:
    status = result.statuses[ObjectRef(GATEWAYS, "shop", name)]
    return next(one for one in status["listeners"] if one["name"] == listener)


def by_type(found: list[Obj]) -> dict[str, tuple[str, str, str]]:
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}
