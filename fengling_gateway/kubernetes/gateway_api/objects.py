"""
What is kept of GatewayClasses, Gateways and ReferenceGrants. Pure.

HTTPRoutes are in `fengling_gateway.kubernetes.gateway_api.http_routes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fengling_gateway.kubernetes.gateway_api.shapes import (
    Metadata,
    Shape,
    metadata,
    part,
    parts,
    some_part,
    some_text,
    text,
    texts,
    whole,
)
from fengling_gateway.kubernetes.objects import words
from fengling_gateway.kubernetes.resources import GATEWAY_API, Resource


class ObjectRef(NamedTuple):
    """One object of the API; ``namespace`` is empty of what is in none."""

    resource: Resource
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.resource.kind} {where}"


class Kind(NamedTuple):
    group: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


class GatewayClass(NamedTuple):
    """``status`` is as the API server has it, or None."""

    metadata: Metadata
    controller: str
    has_parameters: bool
    status: Shape | None


class Selector(NamedTuple):
    """Labels that are wanted, and expressions of (key, operator, values)."""

    labels: Mapping[str, str]
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is selected; an operator that is unknown selects nothing."""
        return all(labels.get(key) == value for key, value in self.labels.items()) and all(
            _holds(labels, *expression) for expression in self.expressions
        )


class ListenerTls(NamedTuple):
    mode: str
    has_certificate_refs: bool
    has_frontend_validation: bool
    options: Mapping[str, str]


class GatewayListener(NamedTuple):
    """
    A listener of a Gateway.

    Attributes:
        hostname: None for any.
        namespaces: from which routes are allowed: Same, All or Selector.
        selector: None where there is none, which selects nothing.
        kinds: of routes; empty for those of the protocol.
    """

    name: str
    hostname: str | None
    port: int
    protocol: str
    tls: ListenerTls | None
    namespaces: str
    selector: Selector | None
    kinds: tuple[Kind, ...]


class Gateway(NamedTuple):
    """
    A Gateway.

    Attributes:
        addresses: the type and value of each that is asked for; a value may be empty.
        validates_clients: whether it wants certificates of clients, on some port.
        shows_certificate: whether it wants to show one to backends.
    """

    metadata: Metadata
    class_name: str
    listeners: tuple[GatewayListener, ...]
    addresses: tuple[tuple[str, str], ...]
    has_parameters: bool
    validates_clients: bool
    shows_certificate: bool
    status: Shape | None


class Granted(NamedTuple):
    """What may be referred to; ``name`` None is any of the kind."""

    kind: Kind
    name: str | None


class ReferenceGrant(NamedTuple):
    """Who (kind and namespace) may refer to what in the grant's own namespace."""

    metadata: Metadata
    granted_to: tuple[tuple[Kind, str], ...]
    granted: tuple[Granted, ...]


def convert_gateway_class(obj: Shape) -> GatewayClass:
    """
    Raises:
        ValueError: it has not the shape of a GatewayClass.
    """
    spec = part(obj, "spec")
    return GatewayClass(
        metadata=metadata(obj),
        controller=text(spec, "controllerName"),
        has_parameters=some_part(spec, "parametersRef") is not None,
        status=some_part(obj, "status"),
    )


def convert_gateway(obj: Shape) -> Gateway:
    """
    Raises:
        ValueError: it has not the shape of a Gateway.
    """
    spec = part(obj, "spec")
    tls = part(spec, "tls")
    return Gateway(
        metadata=metadata(obj),
        class_name=text(spec, "gatewayClassName"),
        listeners=tuple(map(_listener, parts(spec, "listeners"))),
        addresses=tuple(
            (text(one, "type", "IPAddress"), text(one, "value")) for one in parts(spec, "addresses")
        ),
        has_parameters=some_part(part(spec, "infrastructure"), "parametersRef") is not None,
        validates_clients=bool(part(tls, "frontend")),
        shows_certificate=some_part(part(tls, "backend"), "clientCertificateRef") is not None,
        status=some_part(obj, "status"),
    )


def convert_reference_grant(obj: Shape) -> ReferenceGrant:
    """
    Raises:
        ValueError: it has not the shape of a ReferenceGrant.
    """
    spec = part(obj, "spec")
    return ReferenceGrant(
        metadata=metadata(obj),
        granted_to=tuple(
            (Kind(text(one, "group"), text(one, "kind")), text(one, "namespace"))
            for one in parts(spec, "from")
        ),
        granted=tuple(
            Granted(Kind(text(one, "group"), text(one, "kind")), some_text(one, "name"))
            for one in parts(spec, "to")
        ),
    )


def _listener(obj: Shape) -> GatewayListener:
    allowed = part(obj, "allowedRoutes")
    namespaces = part(allowed, "namespaces")
    selector = some_part(namespaces, "selector")
    name, port = text(obj, "name"), whole(obj, "port", 0)
    if not name or not port:
        raise ValueError("a listener without a name or a port")
    return GatewayListener(
        name=name,
        hostname=some_text(obj, "hostname"),
        port=port,
        protocol=text(obj, "protocol"),
        tls=_tls(obj),
        namespaces=text(namespaces, "from", "Same"),
        selector=None if selector is None else _selector(selector),
        kinds=tuple(
            Kind(str(one.get("group", GATEWAY_API)), text(one, "kind"))
            for one in parts(allowed, "kinds")
        ),
    )


def _tls(obj: Shape) -> ListenerTls | None:
    tls = some_part(obj, "tls")
    if tls is None:
        return None
    return ListenerTls(
        mode=text(tls, "mode", "Terminate"),
        has_certificate_refs=bool(parts(tls, "certificateRefs")),
        has_frontend_validation=bool(part(tls, "frontendValidation")),
        options=words(tls.get("options")),
    )


def _selector(obj: Shape) -> Selector:
    return Selector(
        labels=words(obj.get("matchLabels")),
        expressions=tuple(
            (text(one, "key"), text(one, "operator"), texts(one, "values"))
            for one in parts(obj, "matchExpressions")
        ),
    )


def _holds(labels: Mapping[str, str], key: str, operator: str, values: tuple[str, ...]) -> bool:
    value = labels.get(key)
    if operator == "In":
        return value in values
    if operator == "NotIn":  # (also of what has no such label)
        return value not in values
    if operator == "Exists":
        return value is not None
    return operator == "DoesNotExist" and value is None
