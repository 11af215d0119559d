"""
Compiled rules of HTTPRoutes, remembered from one translation to the next. Pure.

Compiling is most of what a translation costs, as every match is judged as the configuration would
judge its route; and of many HTTPRoutes few have changed since the last one.
"""

from __future__ import annotations

from collections.abc import Container

from fengling_gateway.kubernetes.gateway_api.http_routes import HttpRoute
from fengling_gateway.kubernetes.gateway_api.references import Grants
from fengling_gateway.kubernetes.gateway_api.rules import (
    CompiledRule,
    RuleSource,
    compile_rules,
    source_of,
)
from fengling_gateway.kubernetes.gateway_api.world import Name, World


class CompiledRules:
    """
    The rules of each HTTPRoute, compiled anew only where what they are compiled from is another.

    For one translation at a time, in whatever thread. What it gives is shared by all that follow:
    nobody may change anything within it.
    """

    def __init__(self) -> None:
        self._known: dict[Name, tuple[RuleSource, tuple[CompiledRule, ...]]] = {}

    def __repr__(self) -> str:
        return f"<CompiledRules of {len(self._known)} routes>"

    def __len__(self) -> int:
        return len(self._known)

    def of(self, route: HttpRoute, world: World, grants: Grants) -> tuple[CompiledRule, ...]:
        """Return the compiled rules of a route."""
        source = source_of(route, world, grants)
        name = route.metadata.name
        known = self._known.get(name)
        if known is None or known[0] != source:
            known = self._known[name] = (source, compile_rules(source))
        return known[1]

    def keep(self, names: Container[Name]) -> None:
        """Forget all other routes: they are gone."""
        self._known = {name: one for name, one in self._known.items() if name in names}
