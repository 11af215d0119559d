"""Gateways and HTTPRoutes of a cluster, served, and judged in their statuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.kubernetes.resources import (
    ENDPOINT_SLICES,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    REFERENCE_GRANTS,
    SERVICES,
    Resource,
)
from tests.integration.cluster import Followed, followed_cluster
from tests.support import kubernetes_objects as objects
from tests.support.kubernetes_objects import endpoint, namespace
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)

GROUP = "gateway.networking.k8s.io/v1"


@pytest.fixture
def fleet(
    postgres: PostgresServer, _migrated_template: str, own_valkey: ValkeyServer, tmp_path: Path
) -> Iterator[Followed]:
    with followed_cluster(postgres, _migrated_template, tmp_path, own_valkey.url) as fleet:
        fleet.api.apply(
            namespace("shop"),
            an_object(
                "GatewayClass",
                "fengling",
                {"controllerName": "gateway.fengling/controller"},
                where=None,
            ),
            an_object(
                "Gateway",
                "edge",
                {
                    "gatewayClassName": "fengling",
                    "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}],
                },
            ),
        )
        yield fleet


def an_object(
    kind: str, name: str, spec: dict[str, Any], where: str | None = "shop"
) -> dict[str, Any]:
    place = {} if where is None else {"namespace": where}
    return {
        "apiVersion": GROUP,
        "kind": kind,
        "metadata": {"name": name, **place},
        "spec": spec,
    }


def a_route(path: str, *backends: dict[str, Any], name: str = "orders") -> dict[str, Any]:
    return an_object(
        "HTTPRoute",
        name,
        {
            "parentRefs": [{"name": "edge"}],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": path}}],
                    "backendRefs": list(backends),
                }
            ],
        },
    )


def conditions(fleet: Followed, resource: Resource, name: str) -> dict[str, str]:
    """Return the conditions of an object, or of its only parent, each with status and reason."""
    where = "shop" if resource.is_namespaced else ""
    status = fleet.api.get(resource, where, name).get("status") or {}
    parents = status.get("parents")
    found = parents[0] if parents else status
    return {one["type"]: f"{one['status']} {one['reason']}" for one in found.get("conditions", ())}


def test_route_is_served_and_judged(fleet: Followed) -> None:
    """As soon as it is there, and as the cluster has it then; gone with it, where others stay."""
    gateway = fleet.gateway()
    address = fleet.upstream("v1").address
    fleet.service(labels=None)
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=int(address.rpartition(":")[2]))
    for name in ("orders", "stock", "carts"):
        path = "/hello" if name == "orders" else f"/{name}"
        fleet.api.apply(a_route(path, {"name": "orders", "port": 80}, name=name))
    fleet.following(gateway_api=True)
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    wait_until(
        lambda: (
            conditions(fleet, HTTP_ROUTES, "orders")
            == {"Accepted": "True Accepted", "ResolvedRefs": "True ResolvedRefs"}
        )
    )
    wait_until(
        lambda: conditions(fleet, GATEWAY_CLASSES, "fengling").get("Accepted") == "True Accepted"
    )
    wait_until(lambda: conditions(fleet, GATEWAYS, "edge").get("Programmed", "").startswith("True"))
    assert fleet.row() == {}, "only what has the label is to be decided of"
    fleet.api.apply(a_route("/other", {"name": "orders", "port": 80}))
    wait_until(lambda: gateway.get("/other")[0] == 200)
    assert gateway.get("/hello")[0] == 404
    fleet.api.delete(HTTP_ROUTES, "shop", "orders")
    wait_until(lambda: gateway.get("/other")[0] == 404)
    assert gateway.get("/stock")[0] == 200


def test_route_to_nothing_says_so(fleet: Followed) -> None:
    """In its status, and with a 500 to who asks; it is mended when the Service comes."""
    gateway = fleet.gateway()
    address = fleet.upstream("v1").address
    fleet.api.apply(a_route("/hello", {"name": "orders", "port": 80}))
    fleet.following(gateway_api=True)
    wait_until(lambda: gateway.get("/hello")[0] == 500)
    wait_until(
        lambda: (
            conditions(fleet, HTTP_ROUTES, "orders").get("ResolvedRefs") == "False BackendNotFound"
        )
    )
    fleet.service(labels=None)
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=int(address.rpartition(":")[2]))
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    wait_until(
        lambda: conditions(fleet, HTTP_ROUTES, "orders").get("ResolvedRefs") == "True ResolvedRefs"
    )


def test_cluster_that_has_lost_everything_is_served_as_it_was(fleet: Followed) -> None:
    """Instances included, whatever is listed first."""
    gateway = fleet.gateway()
    address = fleet.upstream("v1").address
    fleet.service(labels=None)
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=int(address.rpartition(":")[2]))
    fleet.api.apply(a_route("/hello", {"name": "orders", "port": 80}))
    console = fleet.following(gateway_api=True)
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    wait_until(lambda: conditions(fleet, HTTP_ROUTES, "orders").get("Accepted") == "True Accepted")
    before, revision = fleet.instances(), fleet.sql.revision
    fleet.api.stop()
    for resource, name in (
        (ENDPOINT_SLICES, "orders-x7k2p"),
        (SERVICES, "orders"),
        (HTTP_ROUTES, "orders"),
        (GATEWAYS, "edge"),
    ):
        fleet.api.delete(resource, "shop", name)
    fleet.api.start(set_back=True)

    def removal() -> object:
        status = console.get("kubernetes")["status"] or {}
        return (status.get("writing") or {}).get("removal")

    wait_until(removal, timeout=90)
    assert (fleet.instances(), fleet.sql.revision) == (before, revision)
    assert gateway.get("/hello")[0] == 200


def test_cluster_without_the_gateway_api_is_followed_all_the_same(fleet: Followed) -> None:
    """Services that have the label; and its routes as soon as somebody installs it."""
    gateway = fleet.gateway()
    address = fleet.upstream("v1").address
    fleet.api.uninstall(GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES)
    fleet.service()
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=int(address.rpartition(":")[2]))
    console = fleet.following(gateway_api=True, approve=["shop/*"])
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    assert "are listed" in console.log


def test_reference_grants_count_in_an_older_version(fleet: Followed) -> None:
    """Before version 1.5 of the Gateway API there is no other one."""
    newer, older = REFERENCE_GRANTS.versions
    gateway = fleet.gateway()
    address = fleet.upstream("v1").address
    fleet.api.uninstall(newer)
    fleet.service(namespace="apps", labels=None)
    fleet.api.apply(
        namespace("apps"),
        objects.slice_(
            endpoints=[endpoint("127.0.0.1", pod="a")],
            ports=(int(address.rpartition(":")[2]),),
            namespace="apps",
        ),
        a_route("/hello", {"name": "orders", "port": 80, "namespace": "apps"}),
    )
    fleet.following(gateway_api=True)
    wait_until(lambda: gateway.get("/hello")[0] == 500)
    spec = {
        "from": [{"group": HTTP_ROUTES.group, "kind": "HTTPRoute", "namespace": "shop"}],
        "to": [{"group": "", "kind": "Service"}],
    }
    grant = an_object("ReferenceGrant", "shop", spec, where="apps")
    fleet.api.apply({**grant, "apiVersion": older.api_version})
    wait_until(lambda: gateway.get("/hello")[0] == 200)


def test_cluster_without_reference_grants_is_served_all_the_same(fleet: Followed) -> None:
    """Nothing may refer to another namespace there."""
    gateway = fleet.gateway()
    address = fleet.upstream("v1").address
    fleet.api.uninstall(REFERENCE_GRANTS)
    fleet.service(labels=None)
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=int(address.rpartition(":")[2]))
    fleet.api.apply(
        a_route("/hello", {"name": "orders", "port": 80}),
        a_route("/far", {"name": "orders", "port": 80, "namespace": "apps"}, name="far"),
    )
    fleet.following(gateway_api=True)
    wait_until(lambda: gateway.get("/hello")[0] == 200)
    wait_until(
        lambda: conditions(fleet, HTTP_ROUTES, "far").get("ResolvedRefs") == "False RefNotPermitted"
    )
    assert gateway.get("/far")[0] == 500
