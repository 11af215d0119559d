"""From what is known of the Gateway API's objects to everything that follows from it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from fengling_gateway.kubernetes.gateway_api.attachment import Attachment, attachments
from fengling_gateway.kubernetes.gateway_api.compiled import CompiledRules
from fengling_gateway.kubernetes.gateway_api.gateways import (
    JudgedGateway,
    class_status,
    gateway_status,
    own_classes,
    own_gateways,
)
from fengling_gateway.kubernetes.gateway_api.http_routes import HttpRoute
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.gateway_api.references import grants_by_namespace
from fengling_gateway.kubernetes.gateway_api.route_status import is_invalid, route_status
from fengling_gateway.kubernetes.gateway_api.rows import (
    Taken,
    isolating_rows,
    places_of,
    rows_of,
)
from fengling_gateway.kubernetes.gateway_api.rules import CompiledRule
from fengling_gateway.kubernetes.gateway_api.world import (
    Backend,
    GatewayObjects,
    Name,
    Row,
    Translation,
    World,
)
from fengling_gateway.kubernetes.resources import (
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    Resource,
)


def translate(
    known: GatewayObjects, world: World, compiled: CompiledRules | None = None
) -> Translation:
    """
    Return the routes, the services that they refer to, and every status as it should be.

    Args:
        compiled: of the translation before, so that it takes less time; it is brought up to date.

    An HTTPRoute without a parent of ours has a status without parents: so that `merged_status`
    takes away what we have written when it had one.
    """
    result = Translation({}, {}, {}, {}, {})
    gateways = own_gateways(known, world.settings)
    taken: Taken = {}
    compiled = CompiledRules() if compiled is None else compiled
    compiled.keep(known.http_routes)
    grants = grants_by_namespace(known.reference_grants.values())
    for route in sorted(known.http_routes.values(), key=lambda one: one.age):
        found = attachments(route, gateways, world)
        rules = compiled.of(route, world, grants) if found else ()
        accepted = [] if is_invalid(rules) else [one for one in found if one.is_accepted]
        _add_route(route, found, accepted, rules, taken, world, result)
    _add_classes(known, world, result)
    _add_gateways(gateways, world, result)
    return result


def _add_route(
    route: HttpRoute,
    found: Sequence[Attachment],
    accepted: Sequence[Attachment],
    rules: Sequence[CompiledRule],
    taken: Taken,
    world: World,
    result: Translation,
) -> None:
    ref = _ref(HTTP_ROUTES, route.metadata.name)
    places = places_of(one for attachment in accepted for one in attachment.attached)
    rows, left_out = rows_of(route, rules, places, taken)
    result.routes.update(_ranked(rows, world.settings.priority))
    result.origins.update(dict.fromkeys(rows, ref))
    result.attached[ref] = _counting(accepted)
    for rule in rules:
        result.services.update(_referred(rule.backends.services, rows.values()))
    result.statuses[ref] = route_status(
        found, rules, left_out, route.metadata.generation, world.settings.controller
    )


def _ranked(rows: Mapping[str, Row], priority: int) -> Mapping[str, Row]:
    """Return rows with the priority that all have; where it is the usual one, people may set theirs."""
    if not priority:
        return rows
    return {name: {**row, "priority": priority} for name, row in rows.items()}


def _referred(services: Mapping[str, Backend], rows: Iterable[Row]) -> dict[str, Backend]:
    named = {name for row in rows for name in (row["split"] or (row["service_id"],))}
    return {name: backend for name, backend in services.items() if name in named}


def _add_classes(known: GatewayObjects, world: World, result: Translation) -> None:
    for name, gateway_class in own_classes(known, world.settings.controller).items():
        result.statuses[ObjectRef(GATEWAY_CLASSES, "", name)] = class_status(gateway_class)


def _add_gateways(
    gateways: Mapping[Name, JudgedGateway], world: World, result: Translation
) -> None:
    counts = Counter(chain.from_iterable(result.attached.values()))
    for name, judged in gateways.items():
        ref = _ref(GATEWAYS, name)
        attached = {one.listener.name: counts[ref, one.listener.name] for one in judged.listeners}
        result.statuses[ref] = gateway_status(judged, attached, world.settings)
        rows = isolating_rows(judged)
        result.routes.update(_ranked(rows, world.settings.priority))
        result.origins.update(dict.fromkeys(rows, ref))


def _counting(accepted: Sequence[Attachment]) -> frozenset[tuple[ObjectRef, str]]:
    """
    Return the listeners that count a route, once, among those that are attached to them.

    Those that are not accepted, for whatever reason, must not be counted since version 1.5 of the
    Gateway API, which is what others had done before; up to 1.4 its text said the contrary.
    """
    return frozenset(
        (_ref(GATEWAYS, one.gateway.gateway.metadata.name), one.judged.listener.name)
        for attachment in accepted
        for one in attachment.attached
    )


def _ref(resource: Resource, name: Name) -> ObjectRef:
    return ObjectRef(resource, *name)
