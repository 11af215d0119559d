"""Namespaces that reach for hosts that are not theirs, by whatever a cluster has for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from fengling_gateway.embedded.valkey import ValkeyServer
from fengling_gateway.kubernetes.resources import GATEWAYS, HTTP_ROUTES, Resource
from tests.integration.cluster import Followed, followed_cluster
from tests.support.kubernetes_objects import endpoint, namespace, service, slice_
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)

Obj = dict[str, Any]

HTTP: Obj = {"port": 80, "protocol": "HTTP"}
LISTENERS = [{**HTTP, "name": "web"}, {**HTTP, "name": "shop", "hostname": "shop.example"}]


@pytest.fixture
def fleet(
    postgres: PostgresServer, _migrated_template: str, own_valkey: ValkeyServer, tmp_path: Path
) -> Iterator[Followed]:
    with followed_cluster(postgres, _migrated_template, tmp_path, own_valkey.url) as fleet:
        yield fleet


def an_object(kind: str, name: str, spec: Obj, **where: str) -> Obj:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, **where},
        "spec": spec,
    }


def a_gateway() -> tuple[Obj, Obj]:
    """Return a class, and a Gateway of it of whom it is not meant for."""
    return (
        an_object("GatewayClass", "fengling", {"controllerName": "gateway.fengling/controller"}),
        an_object(
            "Gateway",
            "edge",
            {"gatewayClassName": "fengling", "listeners": LISTENERS},
            namespace="greedy",
        ),
    )


def a_route(name: str, *hostnames: str) -> Obj:
    """Return an HTTPRoute of theirs, for the path that is its name."""
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": f"/{name}"}}],
        "backendRefs": [{"name": "pay", "port": 80}],
    }
    spec = {"parentRefs": [{"name": "edge"}], "hostnames": list(hostnames), "rules": [rule]}
    return an_object("HTTPRoute", name, spec, namespace="greedy")


def accepted(fleet: Followed, resource: Resource, name: str) -> Obj:
    """Return the condition of one of their objects, empty if it has none."""
    status = fleet.api.get(resource, "greedy", name).get("status") or {}
    found = (status.get("parents") or [status])[0].get("conditions", ())
    return next((one for one in found if one["type"] == "Accepted"), {})


def test_namespace_gets_no_host_of_another(fleet: Followed) -> None:
    """However specific its HTTPRoute is, with a Gateway of its own, or by annotations: all are told."""
    gateway = fleet.gateway()
    shop, greedy = (
        int(fleet.upstream(name).address.rpartition(":")[2]) for name in ("shop", "greedy")
    )
    fleet.service(annotations={"hosts": "shop.example"})
    fleet.endpoints(endpoint("127.0.0.1", pod="a"), port=shop)
    grabbing = {"hosts": "shop.example", "path": "/grab", "priority": "9"}
    fleet.api.apply(
        namespace("greedy"),
        service("grab", namespace="greedy", annotations=grabbing),
        service("pay", namespace="greedy", labels=None),
        slice_("pay", ("127.0.0.1",), namespace="greedy", ports=(greedy,)),
        *a_gateway(),
        a_route("one", "shop.example"),
        a_route("both", "shop.example", "greedy.example"),
    )
    fleet.following(
        gateway_api=True, approve=["*/*"], hosts=["shop=shop.example", "greedy=greedy.example"]
    )

    def answer(host: str, path: str) -> str:
        status, body = gateway.get(path, headers={"Host": host})
        return str(json.loads(body)["name"]) if status == 200 else str(status)

    wait_until(lambda: answer("greedy.example", "/both") == "greedy")
    wait_until(lambda: accepted(fleet, HTTP_ROUTES, "one").get("reason") == "HostNotAllowed")
    said = accepted(fleet, HTTP_ROUTES, "one")["message"]
    assert "shop.example: not for namespace greedy" in said
    wait_until(
        lambda: "left out: shop.example" in accepted(fleet, HTTP_ROUTES, "both").get("message", "")
    )
    wait_until(lambda: accepted(fleet, GATEWAYS, "edge").get("reason") == "ListenersNotValid")
    wait_until(lambda: fleet.result("grab").get("state") == "refused")
    assert fleet.result("grab")["problems"] == [
        "gateway.fengling/hosts: shop.example is not for namespace greedy (the setting kubernetes.hosts of the console)"
    ]
    wait_until(lambda: answer("shop.example", "/") == "shop")
    for path in ("/one", "/both", "/grab", "/other"):
        assert answer("shop.example", path) == "shop"
    assert answer("greedy.example", "/one") == "404"
