"""What is kept of an HTTPRoute. Pure: nothing is judged here but the shape."""

from __future__ import annotations

from typing import Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.objects import Kind
from fengling_gateway.kubernetes.gateway_api.shapes import (
    Metadata,
    Shape,
    metadata,
    part,
    parts,
    some_part,
    some_text,
    some_whole,
    text,
    texts,
    whole,
)
from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.resources import GATEWAY_API


class ParentRef(NamedTuple):
    """
    What a route wants to be attached to.

    Attributes:
        written: the reference as it was written, which its status repeats.
        section: the name of a listener; None is any.
        port: of listeners; None is any.
    """

    written: Shape
    kind: Kind
    gateway: ObjectName
    section: str | None
    port: int | None


class Comparison(NamedTuple):
    """What a header or a parameter must be."""

    type: str
    name: str
    value: str


class Match(NamedTuple):
    """``method`` None is any."""

    path_type: str
    path: str
    headers: tuple[Comparison, ...]
    query: tuple[Comparison, ...]
    method: str | None


class BackendRef(NamedTuple):
    kind: Kind
    name: ObjectName
    port: int | None
    weight: int
    has_filters: bool


class Filter(NamedTuple):
    """``spec`` is what belongs to its type, as it was written."""

    type: str
    spec: Shape


class Rule(NamedTuple):
    """
    A rule of a route.

    Attributes:
        request_timeout, backend_timeout: as they were written; None where they weren't.
        others: names of fields that are not known here.
    """

    matches: tuple[Match, ...]
    filters: tuple[Filter, ...]
    backends: tuple[BackendRef, ...]
    request_timeout: str | None
    backend_timeout: str | None
    others: tuple[str, ...]


class HttpRoute(NamedTuple):
    """An HTTPRoute; ``status`` is as the API server has it, or None."""

    metadata: Metadata
    parents: tuple[ParentRef, ...]
    hostnames: tuple[str, ...]
    rules: tuple[Rule, ...]
    status: Shape | None

    @property
    def age(self) -> tuple[int, str]:
        """Sort key: the older first, then by ``namespace/name``."""
        return (self.metadata.created, str(self.metadata.name))


EVERYTHING: Final = Match("PathPrefix", "/", (), (), None)

_FILTERS: Final = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
}
_KNOWN: Final = frozenset(("name", "matches", "filters", "backendRefs", "timeouts"))


def convert_http_route(obj: Shape) -> HttpRoute:
    """
    Raises:
        ValueError: it has not the shape of an HTTPRoute.
    """
    about = metadata(obj)
    spec = part(obj, "spec")
    namespace = about.name.namespace
    # (Where rules are left out, an API server writes the one that takes everything.)
    rules = parts(spec, "rules") if spec.get("rules") is not None else ({},)
    return HttpRoute(
        metadata=about,
        parents=tuple(_parent(one, namespace) for one in parts(spec, "parentRefs")),
        hostnames=tuple(name.lower() for name in texts(spec, "hostnames")),
        rules=tuple(_rule(one, namespace) for one in rules),
        status=some_part(obj, "status"),
    )


def _parent(obj: Shape, namespace: str) -> ParentRef:
    return ParentRef(
        written=obj,
        kind=Kind(str(obj.get("group", GATEWAY_API)), text(obj, "kind", "Gateway")),
        gateway=ObjectName(text(obj, "namespace", namespace), text(obj, "name")),
        section=some_text(obj, "sectionName"),
        port=some_whole(obj, "port"),
    )


def _rule(obj: Shape, namespace: str) -> Rule:
    timeouts = part(obj, "timeouts")
    return Rule(
        matches=tuple(map(_match, parts(obj, "matches"))) or (EVERYTHING,),
        filters=tuple(map(_filter, parts(obj, "filters"))),
        backends=tuple(_backend(one, namespace) for one in parts(obj, "backendRefs")),
        request_timeout=some_text(timeouts, "request"),
        backend_timeout=some_text(timeouts, "backendRequest"),
        others=tuple(sorted(obj.keys() - _KNOWN)),
    )


def _match(obj: Shape) -> Match:
    path = part(obj, "path")
    return Match(
        path_type=text(path, "type", "PathPrefix"),
        path=text(path, "value", "/"),
        headers=_comparisons(obj, "headers", lowered=True),
        query=_comparisons(obj, "queryParams", lowered=False),
        method=some_text(obj, "method"),
    )


def _comparisons(obj: Shape, key: str, *, lowered: bool) -> tuple[Comparison, ...]:
    """Return one comparison for each name: the first counts."""
    found: dict[str, Comparison] = {}
    for one in parts(obj, key):
        name = text(one, "name").lower() if lowered else text(one, "name")
        found.setdefault(name, Comparison(text(one, "type", "Exact"), name, text(one, "value")))
    return tuple(found.values())


def _filter(obj: Shape) -> Filter:
    kind = text(obj, "type")
    return Filter(kind, part(obj, _FILTERS.get(kind, "")))


def _backend(obj: Shape, namespace: str) -> BackendRef:
    return BackendRef(
        kind=Kind(text(obj, "group"), text(obj, "kind", "Service")),
        name=ObjectName(text(obj, "namespace", namespace), text(obj, "name")),
        port=some_whole(obj, "port"),
        weight=whole(obj, "weight", 1),
        has_filters=bool(parts(obj, "filters")),
    )
