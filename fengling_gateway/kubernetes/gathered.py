"""What routes of the Gateway API are made from, as it was heard of last. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes import objects, resources
from fengling_gateway.kubernetes.gateway_api.http_routes import convert_http_route
from fengling_gateway.kubernetes.gateway_api.objects import (
    ObjectRef,
    convert_gateway,
    convert_gateway_class,
    convert_reference_grant,
)
from fengling_gateway.kubernetes.gateway_api.world import GatewayObjects, Settings, World
from fengling_gateway.kubernetes.objects import Namespace, ObjectName, Service
from fengling_gateway.kubernetes.resources import Resource


class Source(NamedTuple):
    """
    A resource, and what is made of its objects.

    Attributes:
        is_optional: whether a cluster may do without it.
    """

    resource: Resource
    convert: Callable[[dict[str, Any]], Any]
    is_optional: bool = False


SOURCES: Final = (
    Source(resources.GATEWAY_CLASSES, convert_gateway_class),
    Source(resources.GATEWAYS, convert_gateway),
    Source(resources.HTTP_ROUTES, convert_http_route),
    # (Clusters are not obliged to have them: then nothing may refer to another namespace.)
    Source(resources.REFERENCE_GRANTS, convert_reference_grant, is_optional=True),
    Source(resources.NAMESPACES, objects.namespace),
)
"""Beside Services, which are watched for others, too."""


class Gathered:
    """
    Objects of the sources without their statuses, which are no part of what is translated; and Services.

    Args:
        settings: the part of the world that never changes.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._objects: dict[Resource, dict[Any, Any]] = {one.resource: {} for one in SOURCES}
        self._services: dict[tuple[str, str], Service] = {}

    def __repr__(self) -> str:
        counts = (f"{len(found)} {one.plural}" for one, found in self._objects.items())
        return f"<Gathered: {', '.join(counts)}, {len(self._services)} services>"

    # What is heard

    def listed(self, resource: Resource, values: Iterable[Any]) -> None:
        """Note that these are all that there are."""
        self._objects[resource] = {name_of(one): _without_status(one) for one in values}

    def put(self, resource: Resource, value: Any) -> bool:
        """Note an object; whether more of it than its status is another."""
        found, now = self._objects[resource], _without_status(value)
        is_another = found.get(name_of(value)) != now
        found[name_of(value)] = now
        return is_another

    def drop(self, resource: Resource, value: Any) -> None:
        self._objects[resource].pop(name_of(value), None)

    def services_listed(self, services: Iterable[Service]) -> None:
        self._services = {one.name: one for one in services}

    def put_service(self, service: Service) -> bool:
        """Note a Service; whether anything in it is another that routes depend on."""
        before = self._services.get(service.name)
        self._services[service.name] = service
        return before is None or _without_labels(before) != _without_labels(service)

    def drop_service(self, service: Service) -> None:
        self._services.pop(service.name, None)

    # What is translated: copies, as somebody looks at them while more is heard

    def service(self, name: ObjectName) -> Service | None:
        return self._services.get(name)

    def objects(self) -> GatewayObjects:
        return GatewayObjects(
            dict(self._objects[resources.GATEWAY_CLASSES]),
            dict(self._objects[resources.GATEWAYS]),
            dict(self._objects[resources.HTTP_ROUTES]),
            dict(self._objects[resources.REFERENCE_GRANTS]),
        )

    def world(self) -> World:
        namespaces: Mapping[Any, Namespace] = self._objects[resources.NAMESPACES]
        labels = {one.name: one.labels for one in namespaces.values()}
        return World(dict(self._services), labels, self._settings)


def name_of(value: Any) -> Any:
    """Return what tells a value from others of its resource."""
    metadata = getattr(value, "metadata", None)
    return value.name if metadata is None else metadata.name


def ref_of(resource: Resource, value: Any) -> ObjectRef:
    name = name_of(value)
    return ObjectRef(resource, *(name if isinstance(name, ObjectName) else ("", name)))


def status_of(value: Any) -> Mapping[str, Any] | None:
    """Return the status of a value; None also of what never has one."""
    status: Mapping[str, Any] | None = getattr(value, "status", None)
    return status


def _without_status(value: Any) -> Any:
    return value._replace(status=None) if hasattr(value, "status") else value


def _without_labels(service: Service) -> Service:
    return service._replace(uid="", annotations={}, labels={})
