"""
HTTPRoutes, each judged by itself, and what becomes of it beside those that come before it. Pure.

What one has in common with others are only its matches: of the very same ones the first has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from fengling_gateway.kubernetes.gateway_api.attachment import (
    Attachment,
    attachments,
    own_parents,
)
from fengling_gateway.kubernetes.gateway_api.backends import Referred, referred_by
from fengling_gateway.kubernetes.gateway_api.gateways import JudgedGateway
from fengling_gateway.kubernetes.gateway_api.http_routes import HttpRoute
from fengling_gateway.kubernetes.gateway_api.objects import ObjectRef
from fengling_gateway.kubernetes.gateway_api.references import Grants
from fengling_gateway.kubernetes.gateway_api.route_status import is_invalid, route_status
from fengling_gateway.kubernetes.gateway_api.rows import Place, Taken, places_of, rows_of
from fengling_gateway.kubernetes.gateway_api.rules import CompiledRule, RuleSource
from fengling_gateway.kubernetes.gateway_api.world import Backend, Name, Row, Settings, World
from fengling_gateway.kubernetes.resources import GATEWAYS, HTTP_ROUTES

Rules = tuple[CompiledRule, ...]
Compile = Callable[[Name, RuleSource], Rules]


class RouteSource(NamedTuple):
    """
    All that an HTTPRoute is judged from, but for what others have taken.

    Attributes:
        gateways: ours, of its parents.
        labels: of its namespace; None if that is not known.
    """

    route: HttpRoute
    gateways: Mapping[Name, JudgedGateway]
    labels: Mapping[str, str] | None
    referred: Referred
    settings: Settings


class Outcome(NamedTuple):
    """
    What becomes of an HTTPRoute.

    Attributes:
        services: those that its rows refer to.
    """

    rows: Mapping[str, Row]
    services: Mapping[str, Backend]
    status: Row


class JudgedRoute(NamedTuple):
    """
    An HTTPRoute, judged by itself.

    Attributes:
        found: what becomes of its parents.
        places: where it is served.
        matches: those that it has if nobody else has.
        alone: what becomes of it then.
    """

    source: RouteSource
    found: tuple[Attachment, ...]
    rules: Rules
    places: tuple[Place, ...]
    matches: Taken
    alone: Outcome
    counted_by: frozenset[tuple[ObjectRef, str]]

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(HTTP_ROUTES, *self.source.route.metadata.name)

    def beside(self, taken: Taken) -> Outcome:
        """
        Return what becomes of it beside others.

        Args:
            taken: the matches of all that come before, to which its own are added.
        """
        if all(taken.setdefault(match, whose) == whose for match, whose in self.matches.items()):
            return self.alone
        return _outcome(self.source, self.found, self.rules, self.places, taken)


def source_of(
    route: HttpRoute, gateways: Mapping[Name, JudgedGateway], world: World, grants: Grants
) -> RouteSource:
    """Return what an HTTPRoute is judged from."""
    namespace = route.metadata.name.namespace
    return RouteSource(
        route,
        own_parents(route, gateways),
        world.namespaces.get(namespace),
        referred_by(route.rules, namespace, world, grants),
        world.settings,
    )


def judge_route(source: RouteSource, compiled: Compile) -> JudgedRoute:
    """
    Judge an HTTPRoute, as if there were no other one.

    Args:
        compiled: returns its rules, compiled.
    """
    route = source.route
    found = attachments(route, source.gateways, source.labels, source.settings.limits)
    rules: Rules = ()
    if found:
        wanted = RuleSource(route.metadata.created, route.rules, source.referred)
        rules = compiled(route.metadata.name, wanted)
    accepted = [] if is_invalid(rules) else [one for one in found if one.is_accepted]
    places = places_of(one for attachment in accepted for one in attachment.attached)
    taken: Taken = {}
    alone = _outcome(source, found, rules, places, taken)
    return JudgedRoute(source, found, rules, places, taken, alone, _counting(accepted))


def _outcome(
    source: RouteSource,
    found: Sequence[Attachment],
    rules: Rules,
    places: Sequence[Place],
    taken: Taken,
) -> Outcome:
    route, settings = source.route, source.settings
    rows, left_out = rows_of(route, rules, places, taken)
    services: dict[str, Backend] = {}
    for rule in rules:
        services.update(_referred(rule.backends.services, rows.values()))
    status = route_status(found, rules, left_out, route.metadata.generation, settings.controller)
    return Outcome(ranked(rows, settings.priority), services, status)


def ranked(rows: Mapping[str, Row], priority: int) -> Mapping[str, Row]:
    """Return rows with the priority that all have; where it is the usual one, people may set theirs."""
    if not priority:
        return rows
    return {name: {**row, "priority": priority} for name, row in rows.items()}


def _referred(services: Mapping[str, Backend], rows: Iterable[Row]) -> dict[str, Backend]:
    named = {name for row in rows for name in (row["split"] or (row["service_id"],))}
    return {name: backend for name, backend in services.items() if name in named}


def _counting(accepted: Sequence[Attachment]) -> frozenset[tuple[ObjectRef, str]]:
    """
    Return the listeners that count a route, once, among those that are attached to them.

    Those that are not accepted, for whatever reason, must not be counted since version 1.5 of the
    Gateway API, which is what others had done before; up to 1.4 its text said the contrary.
    """
    return frozenset(
        (ObjectRef(GATEWAYS, *one.gateway.gateway.metadata.name), one.judged.listener.name)
        for attachment in accepted
        for one in attachment.attached
    )
