"""What a translation begins with, and what it comes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fengling_gateway.kubernetes.gateway_api.http_routes import HttpRoute
from fengling_gateway.kubernetes.gateway_api.objects import (
    Gateway,
    GatewayClass,
    ObjectRef,
    ReferenceGrant,
)
from fengling_gateway.kubernetes.limits import NO_LIMITS, Limits
from fengling_gateway.kubernetes.objects import Service, ServicePort

Name = tuple[str, str]
"""A namespace and a name (`ObjectName` is one); the namespace is empty of what is in none."""

Row = dict[str, Any]


class Problem(NamedTuple):
    """What is wrong: the reason of a condition, and a sentence that says where."""

    reason: str
    message: str


class Settings(NamedTuple):
    """
    What the console's settings say.

    Attributes:
        controller: the controllerName of GatewayClasses that are ours.
        listeners: the name of a gateway host's listener by the port of a Gateway's listener.
        addresses: at which gateways are reached, for the status of Gateways.
        limits: what namespaces may have.
        priority: of all rows.
    """

    controller: str
    listeners: Mapping[int, str]
    addresses: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS
    priority: int = 0


class GatewayObjects(NamedTuple):
    """What is known of the Gateway API's objects."""

    gateway_classes: Mapping[Name, GatewayClass]
    gateways: Mapping[Name, Gateway]
    http_routes: Mapping[Name, HttpRoute]
    reference_grants: Mapping[Name, ReferenceGrant]


class World(NamedTuple):
    """
    What else there is.

    Attributes:
        namespaces: the labels of each by its name.
    """

    services: Mapping[Name, Service]
    namespaces: Mapping[str, Mapping[str, str]]
    settings: Settings


class Backend(NamedTuple):
    """
    A service that routes refer to.

    What can't be referred to is the one with an empty namespace and name: it never has instances.

    Attributes:
        fields: of its row; empty where all are as by default.
    """

    namespace: str
    name: str
    port: ServicePort
    fields: Row


class Translation(NamedTuple):
    """
    What follows from a cluster.

    Attributes:
        routes: rows by route id, with every field that is the cluster's.
        services: what routes refer to, by service id.
        statuses: as they should be, with conditions that have no time yet.
        origins: whose a route is, by route id.
        attached: the listeners that count an HTTPRoute which is accepted, each by its Gateway and name.
    """

    routes: dict[str, Row]
    services: dict[str, Backend]
    statuses: dict[ObjectRef, Row]
    origins: dict[str, ObjectRef]
    attached: dict[ObjectRef, frozenset[tuple[ObjectRef, str]]]
