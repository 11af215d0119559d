"""From what is known of the Gateway API's objects to everything that follows from it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain

from fengling_gateway.kubernetes.gateway_api.gateways import (
    JudgedGateway,
    class_status,
    gateway_status,
    own_classes,
    own_gateways,
)
from fengling_gateway.kubernetes.gateway_api.judged_routes import JudgedRoute, ranked, source_of
from fengling_gateway.kubernetes.gateway_api.memory import Memory
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.gateway_api.references import grants_by_namespace
from fengling_gateway.kubernetes.gateway_api.rows import Taken, isolating_rows
from fengling_gateway.kubernetes.gateway_api.world import GatewayObjects, Name, Translation, World
from fengling_gateway.kubernetes.resources import GATEWAY_CLASSES, GATEWAYS


def translate(known: GatewayObjects, world: World, memory: Memory | None = None) -> Translation:
    """
    Return the routes, the services that they refer to, and every status as it should be.

    Args:
        memory: of the translation before, so that it takes less time; it is brought up to date.

    An HTTPRoute without a parent of ours has a status without parents: so that `merged_status`
    takes away what we have written when it had one.
    """
    memory = Memory() if memory is None else memory
    memory.keep(known)
    result = Translation({}, {}, {}, {}, {})
    gateways = {
        name: memory.gateways.of(name, source)
        for name, source in own_gateways(known, world.settings).items()
    }
    grants = grants_by_namespace(known.reference_grants.values())
    taken: Taken = {}
    for route in sorted(known.http_routes.values(), key=lambda one: one.age):
        source = source_of(route, gateways, world, grants)
        _add_route(memory.routes.of(route.metadata.name, source), taken, result)
    _add_classes(known, world, result)
    _add_gateways(gateways, world, result)
    return result


def _add_route(judged: JudgedRoute, taken: Taken, result: Translation) -> None:
    ref, outcome = judged.ref, judged.beside(taken)
    result.routes.update(outcome.rows)
    result.origins.update(dict.fromkeys(outcome.rows, ref))
    result.services.update(outcome.services)
    result.statuses[ref] = outcome.status
    result.attached[ref] = judged.counted_by


def _add_classes(known: GatewayObjects, world: World, result: Translation) -> None:
    for name, gateway_class in own_classes(known, world.settings.controller).items():
        result.statuses[ObjectRef(GATEWAY_CLASSES, "", name)] = class_status(gateway_class)


def _add_gateways(
    gateways: Mapping[Name, JudgedGateway], world: World, result: Translation
) -> None:
    counts = Counter(chain.from_iterable(result.attached.values()))
    for name, judged in gateways.items():
        ref = ObjectRef(GATEWAYS, *name)
        attached = {one.listener.name: counts[ref, one.listener.name] for one in judged.listeners}
        result.statuses[ref] = gateway_status(judged, attached, world.settings)
        rows = isolating_rows(judged)
        result.routes.update(ranked(rows, world.settings.priority))
        result.origins.update(dict.fromkeys(rows, ref))
