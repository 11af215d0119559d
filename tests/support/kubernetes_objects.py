"""
Objects as clusters of several versions have them: valid unless told otherwise.

What differs between versions, of what concerns us (`VERSIONS`): how Services and EndpointSlices
look when they are read, which fields are there, and which are null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Object = dict[str, Any]

VERSIONS: Final = ("1.27", "1.30", "1.33", "1.35")
MANAGED: Final = {"managed-by": "fengling"}
PREFIX: Final = "gateway.fengling/"


def service(
    name: str = "orders",
    *,
    namespace: str = "shop",
    ports: Sequence[Mapping[str, Any] | int] = (80,),
    labels: Mapping[str, str] | None = MANAGED,
    annotations: Mapping[str, str] | None = None,
    version: str = "1.33",
    **spec: Any,
) -> Object:
    """
    Return a Service.

    Args:
        annotations: by their whole names, or without `PREFIX` where they have no slash.
        spec: what it has in the place of, or besides, the usual.
    """
    made: Object = {
        "type": "ClusterIP",
        "clusterIP": "10.96.12.7",
        "clusterIPs": ["10.96.12.7"],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [_service_port(one) for one in ports],
        "selector": {"app": name},
        "sessionAffinity": "None",
    }
    if version >= "1.33":
        made["trafficDistribution"] = "PreferSameZone" if version >= "1.35" else "PreferClose"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, namespace, labels, annotations),
        "spec": {**made, **spec},
        "status": {"loadBalancer": {}},
    }


def headless(name: str = "orders", **more: Any) -> Object:
    """Return a Service without an address of its own."""
    return service(name, clusterIP="None", clusterIPs=["None"], **more)


def external(name: str = "orders", host: str = "orders.example.com", **more: Any) -> Object:
    """Return a Service that is another name for something outside."""
    made = service(name, **more)
    made["spec"] = {"type": "ExternalName", "externalName": host, "sessionAffinity": "None"}
    return made


def slice_(
    service_name: str = "orders",
    endpoints: Iterable[Mapping[str, Any] | str] = ("10.1.0.1",),
    *,
    namespace: str = "shop",
    suffix: str = "x7k2p",
    ports: Sequence[Mapping[str, Any] | int] = (8080,),
    address_type: str = "IPv4",
    labels: Mapping[str, str] | None = None,
    version: str = "1.33",
) -> Object:
    """Return an EndpointSlice of a Service; addresses stand for endpoints that are ready."""
    name = f"{service_name}-{suffix}"
    metadata = _metadata(name, namespace, None, None)
    metadata["labels"] = {
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": service_name,
        **(labels or {}),
    }
    metadata["annotations"] = {
        "endpoints.kubernetes.io/last-change-trigger-time": "2026-11-22T12:00:00Z"
    }
    metadata["generateName"] = f"{service_name}-"
    metadata["ownerReferences"] = [
        {
            "apiVersion": "v1",
            "blockOwnerDeletion": True,
            "controller": True,
            "kind": "Service",
            "name": service_name,
            "uid": "4f1f3a0e-6a3e-4f7e-9a52-2f9df2f1c001",
        }
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": address_type,
        # Neither is left out where it is empty: it is null then.
        "endpoints": [
            endpoint(one, namespace=namespace, version=version) if isinstance(one, str) else one
            for one in endpoints
        ]
        or None,
        "ports": [_slice_port(one) for one in ports] or None,
    }


def endpoint(
    address: str = "10.1.0.1",
    *,
    ready: bool | None = True,
    serving: bool | None = True,
    terminating: bool | None = False,
    pod: str | None = "",
    node: str | None = "node-1",
    zone: str | None = "eu-1a",
    namespace: str = "shop",
    version: str = "1.33",
) -> Object:
    """
    Return an endpoint of a slice.

    Args:
        ready, serving, terminating: None leaves the condition out.
        pod: its name; empty for one that is made of the address; None for none.
    """
    conditions = {"ready": ready, "serving": serving, "terminating": terminating}
    made: Object = {
        "addresses": [address],
        "conditions": {name: value for name, value in conditions.items() if value is not None},
    }
    if pod is not None:
        made["targetRef"] = {
            "kind": "Pod",
            "name": pod or "pod-" + address.replace(".", "-").replace(":", "-"),
            "namespace": namespace,
            "uid": "8a4cbd0c-7a6c-41bb-8a0e-1f2d9f6f0002",
        }
    if node is not None:
        made["nodeName"] = node
    if zone is not None:
        made["zone"] = zone
        if version >= "1.30":
            hints: Object = {"forZones": [{"name": zone}]}
            if version >= "1.35" and node is not None:
                hints["forNodes"] = [{"name": node}]
            made["hints"] = hints
    return made


def namespace(name: str = "shop", **labels: str) -> Object:
    """Return a namespace; underscores in names of labels stand for hyphens."""
    has = {key.replace("_", "-"): value for key, value in labels.items()}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": has},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _metadata(
    name: str,
    where: str,
    labels: Mapping[str, str] | None,
    annotations: Mapping[str, str] | None,
) -> Object:
    made: Object = {"name": name, "namespace": where}
    if labels:
        made["labels"] = dict(labels)
    if annotations:
        made["annotations"] = {
            key if "/" in key else PREFIX + key: value for key, value in annotations.items()
        }
    return made


def _service_port(port: Mapping[str, Any] | int) -> Object:
    if isinstance(port, int):
        return {"port": port, "protocol": "TCP", "targetPort": 8080}
    return {"protocol": "TCP", "targetPort": 8080, **port}


def _slice_port(port: Mapping[str, Any] | int) -> Object:
    if isinstance(port, int):
        return {"name": "", "port": port, "protocol": "TCP"}
    return {"name": "", "protocol": "TCP", **port}
