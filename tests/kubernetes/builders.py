"""Values of a cluster's objects, with what is not said as it usually is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fengling_gateway.kubernetes.objects import (
    Endpoint,
    EndpointSlice,
    ObjectName,
    Service,
    ServicePort,
    SlicePort,
)

ORDERS = ObjectName("shop", "orders")
LABELS = {"managed-by": "fengling"}


def service(
    name: ObjectName = ORDERS,
    annotations: Mapping[str, str] | None = None,
    ports: Iterable[ServicePort] = (ServicePort("http", 80, None),),
    labels: Mapping[str, str] | None = None,
    *,
    family: str = "IPv4",
    is_external: bool = False,
) -> Service:
    """Return a Service; annotations are named without our prefix."""
    said = {"path": "/orders/{**rest}"} if annotations is None else annotations
    return Service(
        name=name,
        uid="7d4b",
        labels=LABELS if labels is None else labels,
        annotations={f"gateway.fengling/{key}": text for key, text in said.items()},
        ports=tuple(ports),
        family=family,
        is_external=is_external,
    )


def endpoint(
    address: str,
    pod: str | None = None,
    *,
    ready: bool = True,
    terminating: bool = False,
    zone: str | None = None,
) -> Endpoint:
    return Endpoint(
        address=address,
        is_ready=ready and not terminating,
        is_serving=ready,
        is_terminating=terminating,
        zone=zone,
        pod=pod,
    )


def slice_(
    *endpoints: Endpoint,
    name: str = "orders-abc",
    of: ObjectName | None = ORDERS,
    port: int | None = 8080,
    port_name: str = "http",
    family: str = "IPv4",
) -> EndpointSlice:
    return EndpointSlice(
        name=ObjectName("shop", name),
        service=of,
        address_type=family,
        ports=(SlicePort(port_name, port, None, "TCP"),),
        endpoints=endpoints,
    )
