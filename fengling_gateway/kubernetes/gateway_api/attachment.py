"""Which listeners a route is attached to, for each of the parents that it names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fengling_gateway.kubernetes.gateway_api.conditions import ACCEPTED
from fengling_gateway.kubernetes.gateway_api.gateways import JudgedGateway
from fengling_gateway.kubernetes.gateway_api.hostnames import intersection
from fengling_gateway.kubernetes.gateway_api.http_routes import HttpRoute, ParentRef
from fengling_gateway.kubernetes.gateway_api.listeners import JudgedListener
from fengling_gateway.kubernetes.gateway_api.objects import Kind
from fengling_gateway.kubernetes.gateway_api.references import HTTP_ROUTE
from fengling_gateway.kubernetes.gateway_api.world import Name, Problem
from fengling_gateway.kubernetes.limits import Limits, named
from fengling_gateway.kubernetes.resources import GATEWAY_API

_GATEWAY = Kind(GATEWAY_API, "Gateway")

Labels = Mapping[str, str] | None
"""Of a namespace; None if it is not known."""


class Attached(NamedTuple):
    """A listener that a route is attached to, and the hosts that it gets there (None is any)."""

    gateway: JudgedGateway
    judged: JudgedListener
    hosts: tuple[str | None, ...]

    @property
    def is_served(self) -> bool:
        return self.gateway.serves(self.judged)


class Attachment(NamedTuple):
    """What became of one of a route's parents; attached to nothing it says why in ``outcome``."""

    parent: ParentRef
    attached: tuple[Attached, ...]
    outcome: Problem

    @property
    def is_accepted(self) -> bool:
        return self.outcome.reason == ACCEPTED


def own_parents(
    route: HttpRoute, gateways: Mapping[Name, JudgedGateway]
) -> dict[Name, JudgedGateway]:
    """Return the Gateways of ours that are parents of a route."""
    return {
        parent.gateway: gateways[parent.gateway]
        for parent in route.parents
        if parent.kind == _GATEWAY and parent.gateway in gateways
    }


def attachments(
    route: HttpRoute,
    gateways: Mapping[Name, JudgedGateway],
    labels: Labels,
    limits: Limits,
) -> tuple[Attachment, ...]:
    """
    Return what becomes of each parent that is a Gateway of ours.

    Args:
        labels: of the route's namespace.
    """
    return tuple(
        _attach(route, parent, gateways[parent.gateway], labels, limits)
        for parent in route.parents
        if parent.kind == _GATEWAY and parent.gateway in gateways
    )


def _attach(
    route: HttpRoute, parent: ParentRef, gateway: JudgedGateway, labels: Labels, limits: Limits
) -> Attachment:
    found = [one for one in gateway.listeners if _is_named(one, parent)]
    if not found:
        return _refused(parent, "NoMatchingParent", f"the Gateway has no listener{_asked(parent)}")
    allowing = [one for one in found if _allows(one, gateway, route, labels)]
    if not allowing:
        names = ", ".join(one.listener.name for one in found)
        return _refused(
            parent,
            "NotAllowedByListeners",
            f"allowedRoutes doesn't allow HTTPRoutes of namespace "
            f"{route.metadata.name.namespace}, of listeners {names}",
        )
    attached = [
        Attached(gateway, one, hosts)
        for one in allowing
        if (hosts := intersection(one.listener.hostname, route.hostnames))
    ]
    if not attached:
        names = ", ".join(f"{one.listener.name} ({one.listener.hostname})" for one in allowing)
        return _refused(
            parent,
            "NoMatchingListenerHostname",
            f"none of its hostnames is one of listeners {names}",
        )
    return _limited(route, parent, attached, limits)


def _limited(
    route: HttpRoute, parent: ParentRef, attached: list[Attached], limits: Limits
) -> Attachment:
    """Return the attachment with the hosts that the route's namespace may have."""
    namespace = route.metadata.name.namespace
    if not limits.may_have_tenant(namespace, None):
        return _refused(
            parent,
            "TenantNotAllowed",
            f"HTTPRoutes are of no tenant, which is not for namespace {namespace} (the setting "
            "kubernetes.tenants of the console)",
        )
    outside = limits.hosts_outside(namespace, (host for one in attached for host in one.hosts))
    kept = [
        one._replace(hosts=hosts)
        for one in attached
        if (hosts := tuple(host for host in one.hosts if host not in outside))
    ]
    about = f"{named(outside)}: not for namespace {namespace} (the setting kubernetes.hosts of the console)"
    if not kept:
        return _refused(parent, "HostNotAllowed", about)
    message = _said(attached[0].gateway, kept) + (f"; left out: {about}" if outside else "")
    return Attachment(parent, tuple(kept), Problem(ACCEPTED, message))


def _said(gateway: JudgedGateway, attached: list[Attached]) -> str:
    """Say which listeners serve it not, of those that it is attached to."""
    if gateway.refused is not None:
        return f"accepted, but the Gateway isn't: {gateway.refused.message}"
    idle = [one.judged.listener.name for one in attached if not one.is_served]
    return f"accepted, but listeners that are not served: {', '.join(idle)}" if idle else "accepted"


def _refused(parent: ParentRef, reason: str, message: str) -> Attachment:
    return Attachment(parent, (), Problem(reason, message))


def _is_named(judged: JudgedListener, parent: ParentRef) -> bool:
    listener = judged.listener
    return parent.section in (None, listener.name) and parent.port in (None, listener.port)


def _asked(parent: ParentRef) -> str:
    name = "" if parent.section is None else f" {parent.section}"
    return name + ("" if parent.port is None else f" with port {parent.port}")


def _allows(
    judged: JudgedListener, gateway: JudgedGateway, route: HttpRoute, labels: Labels
) -> bool:
    if HTTP_ROUTE not in judged.kinds:
        return False
    listener, namespace = judged.listener, route.metadata.name.namespace
    if listener.namespaces == "All":
        return True
    if listener.namespaces == "Same":
        return namespace == gateway.gateway.metadata.name.namespace
    # (A namespace that is not known yet has no labels that anybody could trust.)
    selector = listener.selector if listener.namespaces == "Selector" else None
    return selector is not None and labels is not None and selector.takes(labels)
