"""Every operation of the API with its place; the OpenAPI document describes just these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fengling_gateway.console.api import KIND, Endpoint
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.entity_api import EntityApi
from fengling_gateway.console.events import Events
from fengling_gateway.console.fleet_api import FleetApi
from fengling_gateway.console.health_api import HealthApi
from fengling_gateway.console.history_api import HistoryApi
from fengling_gateway.console.kubernetes_api import KubernetesApi
from fengling_gateway.console.operations import described
from fengling_gateway.console.rollback_api import RollbackApi
from fengling_gateway.console.summary import Summary
from fengling_gateway.console.trying import Trying
from fengling_gateway.model.management_tokens import READ

_NODE = "<string(maxlength=100):node>"
_ID = "<string(maxlength=100):id>"
_SERVICES = "/kubernetes/services"
_SERVICE = f"{_SERVICES}/<string(maxlength=253):namespace>/<string(maxlength=253):name>"


@dataclass(frozen=True, slots=True)
class Operations:
    """Those who carry them out."""

    entities: EntityApi
    history: HistoryApi
    rollback: RollbackApi
    fleet: FleetApi
    health: HealthApi
    kubernetes: KubernetesApi
    trying: Trying
    summary: Summary
    events: Events
    is_ready: Callable[[], tuple[bool, dict[str, Any]]]
    metrics: Callable[[], str]


def endpoints(operations: Operations) -> list[Endpoint]:
    entities, history = operations.entities, operations.history
    fleet, health = operations.fleet, operations.health
    kubernetes = operations.kubernetes
    return [
        Endpoint("GET", "//livez", lambda _: Answer({"live": True})),
        Endpoint("GET", "//readyz", lambda _: _ready(operations.is_ready)),
        Endpoint("GET", "//metrics", lambda _: _metrics(operations.metrics)),
        Endpoint("GET", "/openapi.json", _document),
        Endpoint("GET", "/summary", operations.summary.summary),
        Endpoint("GET", "/events", operations.events.listen),
        Endpoint("POST", "/apply", entities.apply),
        Endpoint("GET", "/export", entities.export),
        Endpoint("GET", "/revisions", history.revisions),
        Endpoint("GET", "/revisions/diff", history.diff),
        Endpoint("GET", "/revisions/<int:revision>", history.revision),
        Endpoint("POST", "/revisions/<int:revision>/confirm", history.confirm),
        Endpoint("POST", "/revisions/<int:revision>/undo", operations.rollback.undo),
        Endpoint("POST", "/rollback", operations.rollback.rollback),
        Endpoint("GET", "/retention", operations.rollback.retention),
        Endpoint("PUT", "/retention", operations.rollback.keep),
        Endpoint("POST", "/gateway/reload", fleet.reload),
        Endpoint("GET", "/fleet", fleet.fleet),
        Endpoint("POST", f"/fleet/{_NODE}/drain", fleet.drain),
        Endpoint("POST", f"/fleet/{_NODE}/restart", fleet.restart),
        Endpoint("GET", "/switches", fleet.switches),
        Endpoint("PUT", f"/switches/<any(route,instance):switched>/{_ID}", fleet.switch_off),
        Endpoint("DELETE", f"/switches/<any(route,instance):switched>/{_ID}", fleet.switch_on),
        Endpoint("POST", "/explain", fleet.explain),
        Endpoint("POST", "/try", operations.trying.send),
        Endpoint("GET", "/health", health.health),
        Endpoint("GET", f"/instances/{_ID}/health", health.instance),
        Endpoint("POST", f"/instances/{_ID}/probe", health.probe),
        Endpoint("GET", "/kubernetes", kubernetes.status),
        Endpoint("POST", "/kubernetes/confirm", kubernetes.confirm),
        Endpoint("GET", _SERVICES, kubernetes.services),
        Endpoint("GET", _SERVICE, kubernetes.service),
        Endpoint("DELETE", _SERVICE, kubernetes.forget),
        Endpoint("POST", f"{_SERVICE}/approve", kubernetes.approve),
        Endpoint("POST", f"{_SERVICE}/reject", kubernetes.reject),
        Endpoint("GET", f"/{KIND}", entities.list),
        Endpoint("POST", f"/{KIND}", entities.create),
        Endpoint("GET", f"/{KIND}/{_ID}", entities.get),
        Endpoint("PUT", f"/{KIND}/{_ID}", entities.replace),
        Endpoint("PATCH", f"/{KIND}/{_ID}", entities.patch),
        Endpoint("DELETE", f"/{KIND}/{_ID}", entities.delete),
        Endpoint("GET", f"/{KIND}/{_ID}/history", history.entity),
    ]


def _document(call: Call) -> Answer:
    call.access.require(READ)
    call.only()
    return Answer(described())


def _ready(is_ready: Callable[[], tuple[bool, dict[str, Any]]]) -> Answer:
    ready, reasons = is_ready()
    return Answer({"ready": ready, **reasons}, status=200 if ready else 503)


def _metrics(metrics: Callable[[], str]) -> Answer:
    return Answer(metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")
