"""
What a discovered Service would become: a service, and a route to it. Pure.

An offer is what the cluster says. What an approver has set goes before it, and
what has been approved stays in effect when the cluster offers something else
later, until that is approved, too: whoever may annotate a Service must not be
able to take over the traffic of others by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.annotation_limits import outside
from fengling_gateway.kubernetes.annotations import PREFIX, Asked, read, shown
from fengling_gateway.kubernetes.ids import service_id
from fengling_gateway.kubernetes.limits import NO_LIMITS, Limits
from fengling_gateway.kubernetes.objects import ObjectName, Service, ServicePort
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Rejected, validate

Row = dict[str, Any]

_PLAIN_PROTOCOLS: Final = ("http", "kubernetes.io/ws")
_TLS_PROTOCOLS: Final = ("https", "kubernetes.io/wss")


class Backend(NamedTuple):
    """
    A service whose instances are a Service's endpoints.

    Attributes:
        id: of the service entity.
        port: the name of the Service's port, as slices name theirs.
        fields: of the service entity, as a file may have them.
        origin: what in the cluster it stands for.
    """

    id: str
    name: ObjectName
    port: str
    scheme: str
    family: str
    fields: Mapping[str, Any]
    origin: str = ""


class Offer(NamedTuple):
    """
    Attributes:
        backend, route: None where there can be none; ``problems`` say why.
        route: the fields of its route, whose id is that of the backend.
    """

    backend: Backend | None
    route: Row | None
    problems: tuple[str, ...]

    def document(self, service: Service) -> dict[str, Any]:
        """Return the offer as people are shown it, and as it is kept once it is approved."""
        backend = self.backend
        return {
            "ports": [
                {"name": one.name, "port": one.port, "app_protocol": one.app_protocol}
                for one in service.ports
            ],
            "labels": dict(sorted(service.labels.items())),
            "annotations": shown(service.annotations),
            "backend": None if backend is None else backend._replace(fields={})._asdict(),
            "service": None if backend is None else dict(backend.fields),
            "route": self.route,
            "problems": list(self.problems),
        }


def offer(
    service: Service,
    wish: Mapping[str, Any],
    limits: Limits = NO_LIMITS,
    *,
    is_seen: bool = True,
) -> Offer:
    """
    Return what a Service would become.

    Args:
        wish: what an approver has set in place of annotations: ``hosts`` (none: any), ``path``,
            ``tenant_id`` (None: of no tenant); as far as it is there.
        limits: what its namespace may ask for.
        is_seen: whether somebody looks at annotations before they count.
    """
    asked = read(service.annotations)
    problems = [*asked.problems, *outside(service, asked, wish, limits, is_seen=is_seen)]
    entity = service_id(*service.name)
    backend = _backend(entity, service, asked, problems)
    route = _route(entity, asked, wish, problems)
    if backend is not None:
        problems += _wrong(Key("service", entity), dict(backend.fields))
    if route is not None:
        problems += _wrong(Key("route", entity), route)
    return Offer(backend, route, tuple(dict.fromkeys(problems)))


def _backend(entity: str, service: Service, asked: Asked, problems: list[str]) -> Backend | None:
    if service.is_external:
        problems.append("it is of type ExternalName: it has no endpoints")
        return None
    port = chosen_port(service, asked.port, problems)
    if port is None:
        return None
    scheme = asked.scheme or scheme_of(port, problems)
    if scheme is None:
        return None
    name = {"name": str(service.name)}
    return Backend(
        entity,
        service.name,
        port.name,
        scheme,
        service.family,
        {**name, **asked.service},
        str(service.name),
    )


def chosen_port(service: Service, wanted: str | None, problems: list[str]) -> ServicePort | None:
    """Return the port that is meant: by name or number, or the only one, or the one called http."""
    ports = [one for one in service.ports if one.protocol == "TCP"]
    named = ", ".join(f"{one.name or one.port}" for one in ports) or "none of TCP"
    if wanted is not None:
        found = [one for one in ports if wanted in (one.name, str(one.port))]
        if not found:
            problems.append(f'{PREFIX}port: it has no port "{wanted}" (it has {named})')
    else:
        found = ports if len(ports) == 1 else [one for one in ports if one.name == "http"]
        if not found:
            problems.append(f"{PREFIX}port is required: its ports are {named}")
    return found[0] if found else None


def scheme_of(port: ServicePort, problems: list[str]) -> str | None:
    """Return how instances are spoken to; None, and a problem, where we can't."""
    said = port.app_protocol
    if said is None:
        return "https" if port.name == "https" or port.port == 443 else "http"
    if said.lower() in _PLAIN_PROTOCOLS:
        return "http"
    if said.lower() in _TLS_PROTOCOLS:
        return "https"
    problems.append(f"port {port.name or port.port}: appProtocol {said} is not spoken here")
    return None


def _route(entity: str, asked: Asked, wish: Mapping[str, Any], problems: list[str]) -> Row | None:
    hosts = wish.get("hosts", asked.hosts)
    path = wish.get("path") or asked.path
    if not hosts and path is None:
        problems.append(
            f"nothing says which requests it is for: annotate it with {PREFIX}path or "
            f"{PREFIX}hosts, or name a path or hosts when you approve it"
        )
        return None
    row: Row = {
        "tenant_id": wish.get("tenant_id", asked.tenant_id),
        "priority": asked.priority,
        "hosts": sorted(hosts or ()),
        "path": path or "/{**rest}",
        "methods": sorted(asked.methods),
        "service_id": entity,
        **asked.route,
    }
    return row


def _wrong(key: Key, row: Row) -> Iterable[str]:
    verdict = validate(key, row)
    return map(str, verdict.problems) if isinstance(verdict, Rejected) else ()
