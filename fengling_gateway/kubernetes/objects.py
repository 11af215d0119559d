"""
What is kept of the cluster's objects: values made of their JSON as soon as it comes. Pure.

Shapes: ``v1`` Service and Namespace, ``discovery.k8s.io/v1`` EndpointSlice. What an API server
leaves out has the meaning that the API gives to its absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation as long as the object itself, which says nothing about it."""


class ObjectName(NamedTuple):
    """A namespace, and a name in it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ServicePort(NamedTuple):
    """``name`` is empty where a service has one port; ``app_protocol`` None where it says none."""

    name: str
    port: int
    app_protocol: str | None
    protocol: str = "TCP"


class Service(NamedTuple):
    """
    A Service.

    Attributes:
        family: IPv4 or IPv6: the first of its families, in which its instances are reached.
        is_external: of type ExternalName: it has no endpoints.
    """

    name: ObjectName
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    family: str
    is_external: bool


class Endpoint(NamedTuple):
    """
    One endpoint of a slice.

    Attributes:
        address: the first one; all reach the same pod.
        is_serving: it answers, perhaps while it terminates.
        pod: its name; None where the endpoint stands for something else.
    """

    address: str
    is_ready: bool
    is_serving: bool
    is_terminating: bool
    zone: str | None
    pod: str | None


class SlicePort(NamedTuple):
    """A port of every endpoint of a slice; ``port`` None stands for any."""

    name: str
    port: int | None
    app_protocol: str | None
    protocol: str


class EndpointSlice(NamedTuple):
    """Some of a Service's endpoints; ``service`` is None of a slice that names no Service."""

    name: ObjectName
    service: ObjectName | None
    address_type: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]


class Namespace(NamedTuple):
    name: str
    labels: Mapping[str, str]


def name_of(obj: Mapping[str, Any]) -> ObjectName:
    """
    Raises:
        ValueError: it has no name.
    """
    found = obj.get("metadata")
    metadata = found if isinstance(found, dict) else {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not name:
        raise ValueError("an object without metadata.name")
    return ObjectName(namespace if isinstance(namespace, str) else "", name)


def service(obj: Mapping[str, Any]) -> Service:
    """
    Raises:
        ValueError: it has not the shape of a Service.
    """
    name = name_of(obj)
    spec = _object(obj, "spec", name)
    families = spec.get("ipFamilies") or ["IPv4"]
    return Service(
        name=name,
        uid=str(obj["metadata"].get("uid", "")),
        labels=words(obj["metadata"].get("labels")),
        annotations=words(obj["metadata"].get("annotations")),
        ports=tuple(_service_port(one, name) for one in _objects(spec, "ports", name)),
        family=str(families[0]) if isinstance(families, list) else "IPv4",
        is_external=spec.get("type") == "ExternalName",
    )


def endpoint_slice(obj: Mapping[str, Any]) -> EndpointSlice:
    """
    Raises:
        ValueError: it has not the shape of an EndpointSlice.
    """
    name = name_of(obj)
    owner = words(obj["metadata"].get("labels")).get(SERVICE_NAME_LABEL)
    return EndpointSlice(
        name=name,
        service=None if owner is None else ObjectName(name.namespace, owner),
        address_type=str(obj.get("addressType", "")),
        ports=tuple(_slice_port(one, name) for one in _objects(obj, "ports", name)),
        endpoints=tuple(_endpoints(_objects(obj, "endpoints", name))),
    )


def namespace(obj: Mapping[str, Any]) -> Namespace:
    """
    Raises:
        ValueError: it has no name.
    """
    return Namespace(name_of(obj).name, words(obj["metadata"].get("labels")))


def words(value: Any) -> dict[str, str]:
    """Return labels or annotations, without the one that repeats the whole object."""
    if not isinstance(value, dict):
        return {}
    return {
        str(name): text
        for name, text in value.items()
        if isinstance(text, str) and name != _LAST_APPLIED
    }


def _service_port(port: Mapping[str, Any], name: ObjectName) -> ServicePort:
    number = port.get("port")
    if type(number) is not int:
        raise ValueError(f"{name}: a port without a number")
    return ServicePort(
        name=str(port.get("name") or ""),
        port=number,
        app_protocol=_text(port.get("appProtocol")),
        protocol=str(port.get("protocol") or "TCP"),
    )


def _slice_port(port: Mapping[str, Any], name: ObjectName) -> SlicePort:
    number = port.get("port")
    if number is not None and type(number) is not int:
        raise ValueError(f"{name}: a port that is no number")
    return SlicePort(
        name=str(port.get("name") or ""),
        port=number,
        app_protocol=_text(port.get("appProtocol")),
        protocol=str(port.get("protocol") or "TCP"),
    )


def _endpoints(found: Iterable[Mapping[str, Any]]) -> Iterable[Endpoint]:
    for one in found:
        addresses = one.get("addresses")
        if not (isinstance(addresses, list) and addresses and isinstance(addresses[0], str)):
            continue  # (the API wants at least one)
        conditions = one.get("conditions")
        said: Mapping[str, Any] = conditions if isinstance(conditions, dict) else {}
        # What is unknown is to be taken for ready (and then for serving, and not terminating).
        is_ready = said.get("ready") is not False
        serving = said.get("serving")
        target = one.get("targetRef")
        is_pod = isinstance(target, dict) and target.get("kind") == "Pod"
        yield Endpoint(
            address=addresses[0],
            is_ready=is_ready,
            is_serving=is_ready if serving is None else serving is not False,
            is_terminating=said.get("terminating") is True,
            zone=_text(one.get("zone")),
            pod=_text(target.get("name")) if is_pod and isinstance(target, dict) else None,
        )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _object(obj: Mapping[str, Any], key: str, name: ObjectName) -> Mapping[str, Any]:
    value = obj.get(key)
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name}: {key} is no object")


def _objects(obj: Mapping[str, Any], key: str, name: ObjectName) -> list[Mapping[str, Any]]:
    value = obj.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"{name}: {key} is no list of objects")
    return value
