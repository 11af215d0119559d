"""Snapshots for tests of the data plane: one service that gets everything, unless said otherwise."""

from __future__ import annotations

import json
from hashlib import sha256
from random import Random
from typing import Any

from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.entity import Key, add_hash, canonical, entity_hash
from fengling_gateway.model.policies import policies as check_policies
from fengling_gateway.model.problems import Report
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.routing.snapshot import CompileContext, Snapshot
from tests.balancing.builders import make_instance_body, make_service_body
from tests.routing.builders import make_body

Body = dict[str, Any]
Entity = tuple[str, Body]


def service(service_id: str = "s", **given: Any) -> Entity:
    return "service", make_service_body(service_id, **given)


def instance(instance_id: str = "i", **given: Any) -> Entity:
    return "instance", make_instance_body(instance_id, **given)


def route(route_id: str = "r", path: str = "/{**rest}", **given: Any) -> Entity:
    return "route", make_body(route_id, path, **given)


def answering_route(route_id: str, path: str, **given: Any) -> Entity:
    """A route that answers by itself."""
    return "route", make_body(route_id, path, service_id=None, **given)


def tenant(tenant_id: str, **given: Any) -> Entity:
    body = {"id": tenant_id, "name": tenant_id, "enabled": True, "hosts": [], "path_prefix": None}
    return "tenant", {**body, "limits": {}, **given}


def issuer(issuer_id: str, **given: Any) -> Entity:
    """An issuer in canonical form."""
    judged = validate(Key("issuer", issuer_id), {"id": issuer_id, **given})
    assert isinstance(judged, Accepted), judged
    return "issuer", json.loads(judged.body)


def client(client_id: str, **given: Any) -> Entity:
    body = {"id": client_id, "name": "", "enabled": True, "tenant_id": None}
    return "client", {**body, "roles": [], "scopes": [], **given}


def api_key(
    key_id: str, *, client_id: str, secret: bytes = b"A" * 43, **given: Any
) -> tuple[bytes, Entity]:
    """An API key, and what the configuration has of it."""
    key = b"fgk_" + key_id.encode() + b"_" + secret
    body = {"id": key_id, "name": "", "enabled": True, "client_id": client_id}
    digest = {"digest": sha256(key).hexdigest(), "expires_at": None}
    return key, ("api_key", {**body, **digest, **given})


def setting(key: str, value: Any) -> Entity:
    return "setting", {"id": key, "key": key, "value": value}


def policies(**given: Any) -> dict[str, Any]:
    """Policies in canonical form."""
    report = Report()
    checked: dict[str, Any] = check_policies(given, report)
    assert not report.found, report.found
    return checked


def plain(*more: Entity, address: str = "http://192.0.2.1:8080") -> list[Entity]:
    """A route to one service with one instance, and more entities."""
    return [service(), instance(address=address), route(), *more]


def make_snapshot(
    *entities: Entity, context: CompileContext | None = None, revision: int = 1
) -> Snapshot:
    """Compile entities from nothing; later ones replace earlier ones with the same id."""
    bodies = {Key(kind, body["id"]): canonical(body) for kind, body in entities}
    content_hash = 0
    for key, body in bodies.items():
        content_hash = add_hash(content_hash, entity_hash(key, body))
    changes = tuple(Change(key, body) for key, body in bodies.items())
    delta = Delta(None, Position("epoch", revision, "token"), 0, content_hash, changes)
    context = context or CompileContext(rng=Random(1), networks=UpstreamNetworks(LOOPBACK))
    snapshot = Snapshot.empty().apply(delta, context)
    assert not context.failed, context.failed
    return snapshot
