"""
What translations have in common: most of what they are made from is as it was. Pure.

Of many HTTPRoutes few have changed since the last translation. Compiling the rules of one takes
longest, as every match is judged as the configuration would judge its route; so these are
remembered by themselves, where a Gateway has changed and all of its HTTPRoutes are judged anew.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Generic, TypeVar

from fengling_gateway.kubernetes.gateway_api.gateways import (
    GatewaySource,
    JudgedGateway,
    judge_gateway,
)
from fengling_gateway.kubernetes.gateway_api.judged_routes import (
    JudgedRoute,
    RouteSource,
    judge_route,
)
from fengling_gateway.kubernetes.gateway_api.rules import CompiledRule, RuleSource, compile_rules
from fengling_gateway.kubernetes.gateway_api.world import GatewayObjects, Name

S = TypeVar("S")
V = TypeVar("V")


class Memo(Generic[S, V]):
    """
    Values by name, made anew only where what they are made from is another.

    Args:
        make: needs nothing but what it is given.
    """

    def __init__(self, make: Callable[[S], V]) -> None:
        self._make = make
        self._known: dict[Name, tuple[S, V]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, name: Name, source: S) -> V:
        """Return what is made from a source; parts of it that are the very same are not compared."""
        known = self._known.get(name)
        if known is None or known[0] != source:
            known = self._known[name] = (source, self._make(source))
        return known[1]

    def keep(self, names: Container[Name]) -> None:
        """Forget all others: they are gone."""
        self._known = {name: one for name, one in self._known.items() if name in names}


class Memory:
    """
    What a translation may take from those before.

    For one translation at a time, in whatever thread. What it gives is shared by all that follow:
    nobody may change anything within it.
    """

    def __init__(self) -> None:
        self.gateways: Memo[GatewaySource, JudgedGateway] = Memo(judge_gateway)
        self.rules: Memo[RuleSource, tuple[CompiledRule, ...]] = Memo(compile_rules)
        self.routes: Memo[RouteSource, JudgedRoute] = Memo(self._judge_route)

    def __repr__(self) -> str:
        return f"<Memory of {len(self.gateways)} Gateways, {len(self.routes)} HTTPRoutes>"

    def keep(self, known: GatewayObjects) -> None:
        """Forget what is gone."""
        self.gateways.keep(known.gateways)
        self.rules.keep(known.http_routes)
        self.routes.keep(known.http_routes)

    def _judge_route(self, source: RouteSource) -> JudgedRoute:
        return judge_route(source, self.rules.of)
